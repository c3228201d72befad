import type { SnapshotCursor } from '../../domains/machines/index.ts';
import type { ListCursor } from '../../domains/sandboxes/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';

/** What stands in the query of a list: filters, and where the next page begins. */

/**
 * Pairs of a metadata filter. The query's own decoding has been done; what is left is a query string whose names and
 * values were encoded each, before they were joined. Plain ones survive both.
 */
export function readPairs(text: string | undefined): Record<string, string> | undefined {
  if (text === undefined || text === '') return undefined;
  const pairs = decodedPairs(text);
  // It was encoded twice, so that nobody has seen it yet; no database column can hold it.
  if (pairs.flat().some((part) => part.includes('\0')))
    throw new AppError('invalid', 'metadata must not contain NUL characters');
  return Object.fromEntries(pairs);
}

function decodedPairs(text: string): [string, string][] {
  try {
    return [...new URLSearchParams(text)].map(([key, value]) => [decodeURIComponent(key), decodeURIComponent(value)]);
  } catch (cause) {
    throw new AppError('invalid', 'metadata is not percent-encoded', { cause });
  }
}

export const writeCursor = ({ startedAt, seq }: ListCursor): string => write(startedAt, seq.toString());

/** Throws `invalid` for a token that is none of ours. */
export function readCursor(token: string | undefined): ListCursor | undefined {
  const { at, rest } = read(token, /^\d{1,18}$/) ?? {};
  return at && rest !== undefined ? { startedAt: at, seq: BigInt(rest) } : undefined;
}

export const writeSnapshotCursor = ({ createdAt, id }: SnapshotCursor): string => write(createdAt, id);

export function readSnapshotCursor(token: string | undefined): SnapshotCursor | undefined {
  const { at, rest } = read(token, /^snp_[0-9a-f]{32}$/) ?? {};
  const id = rest === undefined ? undefined : parseId('snapshot', rest);
  return at && id ? { createdAt: at, id } : undefined;
}

const write = (at: Date, rest: string): string => Buffer.from(`${at.toISOString()} ${rest}`).toString('base64url');

const TOKEN = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+)$/;

function read(token: string | undefined, pattern: RegExp): { at: Date; rest: string } | undefined {
  if (token === undefined || token === '') return undefined;
  const [, at = '', rest = ''] = TOKEN.exec(Buffer.from(token, 'base64url').toString()) ?? [];
  if (Number.isNaN(Date.parse(at)) || !pattern.test(rest)) throw new AppError('invalid', 'nextToken is not valid');
  return { at: new Date(at), rest };
}
