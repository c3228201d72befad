import { createHash } from 'node:crypto';
import type { Answer } from '../apis/contract.ts';

const TAG_LENGTH = 32;

export const tagOf = (content: string | Buffer): string =>
  `"${createHash('sha256').update(content).digest('hex').slice(0, TAG_LENGTH)}"`;

/**
 * Lets everybody keep a reply for so many seconds, and ask after that whether it still holds. Its tag is of its body,
 * or of what that is drawn from.
 */
export const cacheable = (answer: Answer & { body: string | Buffer }, seconds: number, tag = tagOf(answer.body)) => ({
  ...answer,
  headers: {
    ...answer.headers,
    etag: tag,
    'cache-control': seconds === 0 ? 'public, no-cache' : `public, max-age=${seconds}`,
  },
});

/** A page that everybody may keep, and asks for each time whether it still holds. */
export const revalidated = (page: Answer): Answer =>
  page.status === 200 ? cacheable({ ...page, body: String(page.body) }, 0) : page;
