import { html, type Html } from '../html.ts';
import type { Post } from './post.ts';

const MAX_ITEMS = 50;

/** The feed, as RSS 2.0. */
export function rssText(posts: readonly Post[], publicUrl: string): string {
  const home = `${publicUrl}/transmissions`;
  const [newest] = posts;
  const channel = html`<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" xmlns:dc="http://purl.org/dc/elements/1.1/">
  <channel>
    <title>Transmissions – Freehold</title>
    <link>${home}</link>
    <description>What whoever runs this server has to say.</description>
    <language>en</language>
    <atom:link href="${home}/rss.xml" rel="self" type="application/rss+xml" />${
      newest && html` <lastBuildDate>${newest.date.toUTCString()}</lastBuildDate>`
    }${posts.slice(0, MAX_ITEMS).map((post) => itemXml(post, home))}
  </channel>
</rss>
`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${channel.markup}`;
}

const itemXml = ({ slug, title, author, date, summary }: Post, home: string): Html =>
  html`
    <item>
      <title>${title}</title>
      <link>${home}/${slug}</link>
      <guid isPermaLink="true">${home}/${slug}</guid>
      <pubDate>${date.toUTCString()}</pubDate>
      <dc:creator>${author}</dc:creator>
      <description>${summary}</description>
    </item>`;
