import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Answer } from '../apis/contract.ts';
import { html, type Html } from './html.ts';

const readAsset = (name: string): string => readFileSync(join(import.meta.dirname, 'assets', name), 'utf8');

const BASE_STYLE = readAsset('base.css');
const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1e6b4a"/><path d="M10 25V8h13M10 16h10" fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="square"/></svg>',
)}`;

/** What networks show of a link at its largest. */
export const PICTURE_WIDTH = 1_200;
export const PICTURE_HEIGHT = 630;

export type Page = {
  title: string;
  description: string;
  /** Its own address, where others link to it: previews show its title, its description and its picture. */
  url?: string;
  /** What previews show: 1200 by 630, at an absolute address, and what is to be seen on it. */
  picture?: { url: string; alt: string };
  kind?: 'website' | 'profile' | 'article';
  /** Search engines are asked to leave it out. */
  hidden?: boolean;
  /** Where the feed is that it belongs to. */
  feed?: string;
  /** Files in `assets` that this page has beside the common style. */
  style: string | readonly string[];
  script?: string;
  /** It may send a form to this server. */
  sendsForm?: true;
  /** A browser loads it anew after this time. */
  refreshSeconds?: number;
  body: Html;
};

/** Its content is exactly the given text: the policy names it by its hash. */
const element = (name: 'style' | 'script', content: string): Html => ({ markup: `<${name}>${content}</${name}>` });

const sha256 = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Turns pages into replies. A page carries all it needs, and its policy lets it load and send nothing else. */
export function renderPage(page: Page): Answer {
  const style = [BASE_STYLE, ...[page.style].flat().map(readAsset)].join('');
  const script = page.script && readAsset(page.script);
  const document = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="description" content="${page.description}" />
        ${page.refreshSeconds !== undefined && html`<meta http-equiv="refresh" content="${page.refreshSeconds}" />`}
        <title>${page.title}</title>
        ${page.hidden && html`<meta name="robots" content="noindex" />`}
        ${page.url !== undefined && preview(page, page.url)}
        ${page.feed !== undefined && html`<link rel="alternate" type="application/rss+xml" href="${page.feed}" />`}
        <link rel="icon" href="${ICON}" />
        ${element('style', style)}
      </head>
      ${page.body} ${script && element('script', script)}
    </html> `;
  return {
    status: 200,
    body: document.markup,
    headers: { 'content-type': 'text/html; charset=utf-8', ...safetyHeaders(page, style, script) },
  };
}

/** What chats and networks show of a page that somebody links to. */
const preview = ({ title, description, picture, kind = 'website' }: Page, url: string): Html =>
  html`<link rel="canonical" href="${url}" />
    <meta property="og:type" content="${kind}" />
    <meta property="og:site_name" content="Freehold" />
    <meta property="og:title" content="${title}" />
    <meta property="og:description" content="${description}" />
    <meta property="og:url" content="${url}" />
    <meta name="twitter:card" content="${picture ? 'summary_large_image' : 'summary'}" />
    <meta name="twitter:title" content="${title}" />
    <meta name="twitter:description" content="${description}" />
    ${picture && pictureTags(picture)}`;

const pictureTags = ({ url, alt }: NonNullable<Page['picture']>): Html =>
  html`<meta property="og:image" content="${url}" />
    <meta property="og:image:type" content="image/png" />
    <meta property="og:image:width" content="${PICTURE_WIDTH}" />
    <meta property="og:image:height" content="${PICTURE_HEIGHT}" />
    <meta property="og:image:alt" content="${alt}" />
    <meta name="twitter:image" content="${url}" />
    <meta name="twitter:image:alt" content="${alt}" />`;

/** Only this page's own style and script run, and it talks to this server only. */
const safetyHeaders = ({ sendsForm }: Page, style: string, script: string | undefined): Record<string, string> => ({
  'content-security-policy': [
    "default-src 'none'",
    `style-src ${sha256(style)}`,
    ...(script ? [`script-src ${sha256(script)}`, "connect-src 'self'"] : []),
    'img-src data:',
    "base-uri 'none'",
    sendsForm ? "form-action 'self'" : "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
});

export const MARK: Html = html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
  <rect width="32" height="32" rx="7" />
  <path d="M10 25V8h13M10 16h10" />
</svg>`;

/** The line at the top that every page has. */
export const masthead = (current: string): Html =>
  html`<header class="masthead">
    <a class="wordmark" href="/">${MARK}Freehold</a>
    <nav aria-label="Site">
      <a href="/docs" ${current === '/docs' && { markup: ' aria-current="page"' }}>Docs</a>
      <a href="/llms.txt">llms.txt</a>
      <a href="/openapi.json">OpenAPI</a>
    </nav>
  </header>`;

export const footer = (version: string): Html =>
  html`<footer class="footer">
    <p>
      Freehold ${version} · Apache-2.0 · <a href="/health">Health</a> · <a href="/genesis">Founders</a> ·
      <a href="/transmissions">Transmissions</a>
    </p>
  </footer>`;
