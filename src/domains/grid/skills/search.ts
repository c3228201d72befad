import type { Op } from '../../../kernel/op.ts';
import type { SearchEngine } from './world.ts';

const MAX_QUERY_LENGTH = 400;
/** A letter that is not of ASCII is up to twelve characters in an address. */
const MAX_ADDRESS_LENGTH = 2_048;
const MAX_PAGE = 20;
/** What an engine may answer; its beginning alone would be no JSON. */
export const MAX_SEARCH_REPLY_BYTES = 2_000_000;
const TIME_RANGES = ['day', 'week', 'month', 'year'];
const LANGUAGE = /^[a-z]{2,3}(-[A-Za-z]{2,4})?$|^all$|^auto$/;

type Input = Readonly<Record<string, unknown>>;
export type Searched =
  | { ok: true; answer: unknown }
  | { ok: false; reason: 'refused' | 'late' | 'failed'; says: string };

/**
 * Asks the operator's engine, from here: the skill's machine reaches nothing, and what the engine answers is made of
 * strangers' pages, which is why it is taken apart there.
 */
export async function askEngine({ url, send }: SearchEngine, op: Op, input: Input): Promise<Searched> {
  const problem = problemOf(input);
  if (problem !== undefined) return { ok: false, reason: 'refused', says: problem };
  const address = addressOf(url, input);
  if (address.length > MAX_ADDRESS_LENGTH) return { ok: false, reason: 'refused', says: 'query is too long' };
  const reply = await send({ url: address, method: 'GET', headers: HEADERS, signal: op.signal });
  if (!reply.ok) return { ok: false, reason: reply.reason === 'timeout' ? 'late' : 'failed', says: reply.reason };
  if (reply.status !== 200) return { ok: false, reason: 'failed', says: `The engine answered ${reply.status}` };
  try {
    return { ok: true, answer: JSON.parse(reply.body) };
  } catch {
    return { ok: false, reason: 'failed', says: 'The engine answered no JSON' };
  }
}

const HEADERS = { accept: 'application/json', 'user-agent': 'Freehold' };

/** What the engine is not to be asked; the program says what else is wrong. */
function problemOf({ query, page = 1, language, time_range: range }: Input): string | undefined {
  if (typeof query !== 'string' || query.trim() === '') return 'query is required';
  if (query.length > MAX_QUERY_LENGTH) return `query may have ${MAX_QUERY_LENGTH} characters`;
  if (!Number.isInteger(page) || Number(page) < 1 || Number(page) > MAX_PAGE)
    return `page must be a whole number from 1 to ${MAX_PAGE}`;
  if (language !== undefined && !(typeof language === 'string' && LANGUAGE.test(language)))
    return 'language must be a language tag, as in en or en-GB';
  if (range !== undefined && !TIME_RANGES.some((one) => one === range))
    return `time_range must be one of ${TIME_RANGES.join(', ')}`;
  return undefined;
}

function addressOf(base: string, { query, site, page = 1, ...narrower }: Input): string {
  const url = new URL(base);
  if (!url.pathname.endsWith('/search')) url.pathname = `${url.pathname.replace(/\/$/, '')}/search`;
  const asked = typeof site === 'string' ? `${String(query)} site:${site}` : String(query);
  url.searchParams.set('q', asked);
  url.searchParams.set('format', 'json');
  url.searchParams.set('pageno', String(page));
  for (const name of ['language', 'time_range']) {
    const value = narrower[name];
    if (typeof value === 'string') url.searchParams.set(name, value);
  }
  return url.href;
}
