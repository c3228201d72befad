import type { IncomingHttpHeaders } from 'node:http';
import type { Answer } from './contract.ts';

const NOT_MODIFIED = 304;
/** What a reply without a body says nothing of. */
const OF_THE_BODY = new Set(['content-type', 'content-length', 'content-disposition']);

/** What its caller has already, as `If-None-Match` or `If-Modified-Since` says, is not sent once more. */
export function unlessKnown(method: string, asked: IncomingHttpHeaders, answer: Answer): Answer {
  const { status, headers = {} } = answer;
  if (status !== 200 || (method !== 'GET' && method !== 'HEAD') || !isKnown(asked, headers)) return answer;
  const kept = Object.entries(headers).filter(([name]) => !OF_THE_BODY.has(name));
  return { status: NOT_MODIFIED, body: undefined, headers: Object.fromEntries(kept) };
}

/** Where both are asked, the tag alone decides. */
function isKnown(asked: IncomingHttpHeaders, { etag, 'last-modified': modified }: Record<string, string>): boolean {
  const tags = asked['if-none-match'];
  if (tags !== undefined) return etag !== undefined && (tags.trim() === '*' || tagsOf(tags).includes(bare(etag)));
  const since = asked['if-modified-since'];
  return since !== undefined && modified !== undefined && Date.parse(modified) <= Date.parse(since);
}

const tagsOf = (list: string): string[] => list.split(',').map((tag) => bare(tag.trim()));

/** A proxy that has compressed a reply calls its tag weak. */
const bare = (tag: string): string => tag.replace(/^W\//, '');
