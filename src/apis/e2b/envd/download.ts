import { pipeline, Readable } from 'node:stream';
import { constants, createGzip } from 'node:zlib';
import type { FileStat } from '../../../domains/machines/index.ts';
import { AppError, isAppError } from '../../../kernel/errors.ts';
import type { RawAnswer } from '../../contract.ts';
import { headerOf, within, type Visit } from './access.ts';
import { acceptedEncoding } from './encoding.ts';
import { absolutePath, fileUser } from './path.ts';

/** GET /files (clause 4 of the sheet): a file as a stream, whole or a part of it. */

type Range = { offset: number; length: number };

export const download = (visit: Visit): Promise<RawAnswer> =>
  within(visit, async () => {
    const user = await fileUser(visit);
    const path = await absolutePath(visit, user, visit.request.query.get('path') ?? '');
    const encoding = acceptedEncoding(visit.request);
    if (encoding === 'none') return notAcceptable();
    const range = headerOf(visit.request, 'range');
    const part = range === undefined ? undefined : await partOf(visit, user, path, range);
    return part ?? wholeOf(visit, user, path, encoding);
  });

async function wholeOf(visit: Visit, user: string, path: string, encoding: 'gzip' | 'identity'): Promise<RawAnswer> {
  const { stat, content } = await opened(visit, path, { user });
  const headers = headersOf(stat);
  if (stat.size === 0) return sizeless(headers, content);
  if (encoding === 'identity')
    return { status: 200, headers: { ...headers, 'content-length': stat.size }, body: exactly(content, stat.size) };
  const gzip = createGzip({ level: constants.Z_BEST_SPEED });
  // Its outcome is seen by whoever reads what is compressed.
  pipeline(content, gzip, () => {});
  return { status: 200, headers: { ...headers, 'content-encoding': 'gzip' }, body: gzip };
}

/** A client knows an empty file by its length; files of the kernel say that they are empty and are not. */
async function sizeless(headers: Record<string, string>, content: Readable): Promise<RawAnswer> {
  const chunks: AsyncIterator<Buffer> = content.iterator();
  const first = await chunks.next();
  if (first.done) return { status: 200, headers: { ...headers, 'content-length': 0 }, body: '' };
  const rest = (async function* () {
    yield first.value;
    yield* content.iterator();
  })();
  return { status: 200, headers, body: Readable.from(rest, { objectMode: false }) };
}

/** The one range that is asked for; undefined for the whole, which is also the answer to several at once. */
async function partOf(visit: Visit, user: string, path: string, header: string): Promise<RawAnswer | undefined> {
  const { machines, op, sandbox } = visit;
  const { size } = await worded(path, () => machines.stat(op, sandbox.machineId, path, { user, follow: true }));
  const range = rangeOf(header, size);
  if (range === undefined) return undefined;
  if (range === 'unsatisfiable') return unsatisfiable(size);
  const { offset, length } = range;
  const { stat, content } = await opened(visit, path, { user, offset, length });
  return {
    status: 206,
    headers: {
      ...headersOf(stat),
      'content-range': `bytes ${offset}-${offset + length - 1}/${size}`,
      'content-length': length,
    },
    body: exactly(content, length),
  };
}

const opened = ({ machines, op, sandbox }: Visit, path: string, options: { user: string } & Partial<Range>) =>
  worded(path, () => machines.readStream(op, sandbox.machineId, path, options));

/** So many bytes and no more, whatever is added to the file meanwhile. */
export const exactly = (content: Readable, length: number): Readable =>
  Readable.from(bounded(content, length), { objectMode: false });

async function* bounded(content: AsyncIterable<Buffer>, length: number): AsyncGenerator<Buffer> {
  let left = length;
  for await (const chunk of content) {
    const part = chunk.subarray(0, left);
    left -= part.length;
    if (part.length > 0) yield part;
    if (left === 0) return;
  }
  throw new AppError('conflict', 'The file became shorter while it was read');
}

const headersOf = (stat: FileStat): Record<string, string> => ({
  'content-type': 'application/octet-stream',
  'accept-ranges': 'bytes',
  'last-modified': stat.modifiedAt.toUTCString(),
  vary: 'Accept-Encoding',
});

async function worded<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    if (isAppError(cause, 'not_found')) throw new AppError('not_found', `path '${path}' does not exist`, { cause });
    if (isAppError(cause, 'invalid') && cause.message === 'Is a directory')
      throw new AppError('invalid', `path '${path}' is a directory`, { cause });
    throw cause;
  }
}

const notAcceptable = (): RawAnswer => refusal(406, 'no acceptable encoding found, supported: identity, gzip');

const unsatisfiable = (size: number): RawAnswer =>
  refusal(416, 'The range is not in the file', { 'content-range': `bytes */${size}` });

const refusal = (status: number, message: string, headers: Record<string, string> = {}): RawAnswer => ({
  status,
  headers: { ...headers, 'content-type': 'application/json' },
  body: JSON.stringify({ code: status, message }),
});

/** What of `size` bytes a header asks for. */
export function rangeOf(header: string, size: number): Range | 'unsatisfiable' | undefined {
  const [, from = '', to = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim()) ?? [];
  if (from === '' && to === '') return undefined;
  if (from !== '' && to !== '' && Number(to) < Number(from)) return undefined;
  const offset = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === '' || to === '' ? size : Math.min(Number(to) + 1, size);
  return offset >= end ? 'unsatisfiable' : { offset, length: end - offset };
}
