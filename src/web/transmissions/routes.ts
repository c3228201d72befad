import { z } from 'zod';
import { route, type Answer, type Route } from '../../apis/contract.ts';
import type { Op } from '../../kernel/op.ts';
import { MINUTE } from '../../kernel/time.ts';
import { cacheable, revalidated } from '../cacheable.ts';
import { html } from '../html.ts';
import { missingPage } from '../missing.ts';
import { authorPage, listPage, postPage } from './pages.ts';
import { rssText } from './rss.ts';
import type { Shelf } from './shelf.ts';

const TAG = 'Pages';
const LIMIT = { name: 'web-transmissions', max: 300, windowMs: MINUTE };
const Page = { schema: z.string(), contentType: 'text/html' };

type Options = { shelf: Shelf; publicUrl: () => string; version: string };

/** What the operator writes, as pages and as a feed. */
export function transmissionRoutes({ shelf, publicUrl, version }: Options): Route[] {
  const place = () => ({ publicUrl: publicUrl(), version });
  const missing = (title: string) =>
    missingPage(title, html`All that there is stands in <a href="/transmissions">the list</a>.`, version);
  const byAuthor = async (op: Op, slug: string): Promise<Answer> => {
    const posts = (await shelf.posts(op.now)).filter(({ authorSlug }) => authorSlug === slug);
    const [first] = posts;
    return first ? revalidated(authorPage(first, posts, place())) : missing('Nobody of that name has written here');
  };
  return [
    page('/transmissions', 'What the operator has written', async (op) =>
      revalidated(listPage(await shelf.posts(op.now), place())),
    ),
    feed(async (op) => rssText(await shelf.posts(op.now), publicUrl())),
    named('/transmissions/author/:slug/', 'What one author has written', byAuthor),
    { ...named('/transmissions/author/:slug', 'The same', byAuthor), operationId: 'getTransmissionsAuthorSlugBare' },
    named('/transmissions/:slug', 'One transmission', async (op, slug) => {
      const post = (await shelf.posts(op.now)).find((one) => one.slug === slug);
      return post ? revalidated(postPage(post, place())) : missing('No such transmission');
    }),
  ];
}

const page = (path: string, summary: string, show: (op: Op) => Promise<Answer>): Route =>
  route({
    method: 'GET',
    path,
    tag: TAG,
    summary,
    access: 'public',
    addressLimit: LIMIT,
    replies: { 200: { description: 'The page', ...Page } },
    handle: show,
  });

const named = (path: string, summary: string, show: (op: Op, slug: string) => Promise<Answer>): Route =>
  route({
    method: 'GET',
    path,
    tag: TAG,
    summary,
    access: 'public',
    addressLimit: LIMIT,
    params: z.object({ slug: z.string() }),
    replies: {
      200: { description: 'The page', ...Page },
      404: { description: 'There is none', ...Page },
    },
    handle: (op, { params }) => show(op, params.slug),
  });

const feed = (show: (op: Op) => Promise<string>): Route =>
  route({
    method: 'GET',
    path: '/transmissions/rss.xml',
    tag: TAG,
    summary: 'The same as a feed',
    access: 'public',
    addressLimit: LIMIT,
    replies: { 200: { description: 'RSS 2.0', schema: z.string(), contentType: 'application/rss+xml' } },
    handle: async (op) =>
      cacheable(
        {
          status: 200,
          body: await show(op),
          headers: { 'content-type': 'application/rss+xml; charset=utf-8', 'x-content-type-options': 'nosniff' },
        },
        0,
      ),
  });
