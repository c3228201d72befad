import { createHash } from 'node:crypto';
import MarkdownIt from 'markdown-it';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Html } from '../html.ts';

/** What the operator has to say: one Markdown file each, with its title, its author and its day in front. */
export type Post = {
  slug: string;
  title: string;
  author: string;
  authorSlug: string;
  /** It is shown from then on. */
  date: Date;
  summary: string;
  body: Html;
};

export const SLUG_PATTERN = /^[A-Za-z0-9_-]{1,100}$/;
const MAX_TITLE_LENGTH = 200;
const MAX_AUTHOR_LENGTH = 100;
const MAX_SUMMARY_LENGTH = 500;
/** Of a summary that is taken from the text. */
const SUMMARY_LENGTH = 240;
const AUTHOR_HASH_LENGTH = 8;

/** What says nothing that can be seen has no place in a feed. */
const CONTROLS = /[\p{Cc}\p{Cn}\p{Cs}]+/gu;
const line = (max: number) =>
  z
    .string()
    .transform((text) => text.replaceAll(CONTROLS, ' ').trim())
    .pipe(z.string().min(1).max(max));

const Front = z.strictObject({
  title: line(MAX_TITLE_LENGTH),
  author: line(MAX_AUTHOR_LENGTH),
  date: z.union([z.iso.date(), z.iso.datetime({ offset: true })]).transform((text) => new Date(text)),
  summary: line(MAX_SUMMARY_LENGTH).optional(),
});

const FRONT_MATTER = /^\uFEFF?---\r?\n(.*?)\r?\n---\r?\n(.*)$/s;

/** Reads a file. Throws an error that says what is wrong with it. */
export function readPost(slug: string, file: string): Post {
  const [, front, text] = FRONT_MATTER.exec(file) ?? [];
  if (front === undefined || text === undefined) throw new Error('it does not begin with front matter between two ---');
  const found = Front.safeParse(parse(front, { maxAliasCount: 0 }));
  if (!found.success) throw new Error(z.prettifyError(found.error));
  const { title, author, date, summary } = found.data;
  const body = { markup: markdown.render(text) };
  return { slug, title, author, authorSlug: slugOf(author), date, summary: summary ?? firstWords(body), body };
}

/** A name as it stands in an address. One without Latin letters is told apart by its hash. */
function slugOf(name: string): string {
  const plain = name
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');
  return plain || `author-${createHash('sha256').update(name).digest('hex').slice(0, AUTHOR_HASH_LENGTH)}`;
}

/** Markup in a post is text. */
const markdown = new MarkdownIt({ html: false, linkify: true, typographer: false });

// The policy of our pages loads nothing: an image is a link to it.
markdown.renderer.rules['image'] = (tokens, index) => {
  const token = tokens[index];
  const { escapeHtml } = markdown.utils;
  const source = String(token?.attrGet('src') ?? '');
  return `<a href="${escapeHtml(source)}">${escapeHtml(token?.content || source)}</a>`;
};
// A table may be wider than a phone.
markdown.renderer.rules['table_open'] = () => '<div class="scroll"><table>\n';
markdown.renderer.rules['table_close'] = () => '</table></div>\n';

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

/** The first paragraph, without its markup. */
function firstWords({ markup }: Html): string {
  const [, paragraph = ''] = /<p>(.*?)<\/p>/s.exec(markup) ?? [];
  const text = paragraph
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll(/&(amp|lt|gt|quot|#39);/g, (_entity, name: string) => ENTITIES[name] ?? '')
    .replaceAll(CONTROLS, ' ')
    .trim();
  const short = text.slice(0, SUMMARY_LENGTH);
  return text.length <= SUMMARY_LENGTH ? text : `${short.slice(0, short.lastIndexOf(' ')).trimEnd()}…`;
}
