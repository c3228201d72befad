import { Readable } from 'node:stream';
import { nextTurn } from '../../../kernel/turns.ts';
import {
  ask,
  call,
  CALL,
  decodePairs,
  FRAME,
  inTime,
  LONG_ANSWER_MS,
  nonsense,
  numberIn,
  pieces,
  type Connect,
  type Frame,
  type Pair,
  type Wire,
} from './protocol.ts';
import { splitAt } from './runs.ts';

const KINDS = ['file', 'directory', 'symlink', 'other'] as const;
export type FileKind = (typeof KINDS)[number];
export type FileStat = {
  name: string;
  path: string;
  kind: FileKind;
  /** What a link leads to, where it leads anywhere. */
  targetKind: FileKind | undefined;
  /** Bytes; no more than can be counted exactly, however many a file without content claims. */
  size: number;
  /** The permission bits. */
  mode: number;
  uid: number;
  gid: number;
  owner: string;
  group: string;
  /** Within the years 1 to 9999, which all who are told of it can write; a file may claim any other. */
  modifiedAt: Date;
  /** Where a link leads, as an absolute path. */
  target: string | undefined;
  /** Those of the user, by their whole names (`user.…`). */
  xattrs: Record<string, string>;
};

const EVENT_TYPES = ['create', 'write', 'remove', 'rename', 'chmod'] as const;
/** `path` is below the watched directory, which is itself `.` . */
export type WatchEvent = { path: string; type: (typeof EVENT_TYPES)[number] };
export type Watch = AsyncIterable<WatchEvent> & { close(): void };

export type ReadOptions = { user: string; offset?: number | undefined; length?: number | undefined };
export type WriteOptions = {
  user: string;
  /** Without: that of the file that is there, else 0644. */
  mode?: number | undefined;
  /** By their whole names (`user.…`). */
  xattrs?: Readonly<Record<string, string>> | undefined;
  /** What of the file's own attributes begins like this is replaced as a whole. */
  xattrPrefix?: string | undefined;
};

const MAX_ID = 2 ** 32 - 1;
const MAX_MODE = 0o7777;
const MAX_LISTED = 1_000_000;
/** Entries that are read before somebody else has a turn. */
const LISTED_AT_ONCE = 128;
/** A hundred thousand ordinary entries; those with long paths and many attributes are as large as eighty of them. */
const MAX_LISTED_BYTES = 33_554_432;
/** Files that tell no size, as those of /proc, are read no further. */
const SIZELESS_BYTES = 67_108_864;
/** Sizes and times have 63 bits in the kernel. */
const SIZE = /^\d{1,19}$/;
const MODIFIED = /^(-?\d{1,19})\.(\d{9})$/;
const EARLIEST_MS = Date.parse('0001-01-01T00:00:00.000Z');
const LATEST_MS = Date.parse('9999-12-31T23:59:59.999Z');
const MILLISECOND_DIGITS = 3;

export async function stat(connect: Connect, path: string, as: { user: string; follow: boolean }): Promise<FileStat> {
  return one(connect, CALL.stat, [...paths(path, as), ['follow', as.follow ? 1 : 0]]);
}

export type ListOptions = {
  user: string;
  depth: number;
  limit: number;
  /** Told how much there is to be held, before it is; what it throws ends the list. */
  hold?: ((bytes: number) => void) | undefined;
};

export async function list(
  connect: Connect,
  path: string,
  as: ListOptions,
): Promise<{ entries: FileStat[]; truncated: boolean }> {
  const limit = Math.min(as.limit, MAX_LISTED);
  const wire = await call(connect, CALL.list, [...paths(path, as), ['depth', as.depth], ['limit', limit]]);
  try {
    const entries: FileStat[] = [];
    for (let bytes = 0; ;) {
      const frame = await inTime(wire, wire.expect(FRAME.entry, FRAME.done), LONG_ANSWER_MS);
      if (frame.type === FRAME.done)
        return { entries, truncated: new Map(decodePairs(frame.payload)).get('truncated') === '1' };
      bytes += frame.payload.length;
      if (bytes > MAX_LISTED_BYTES) return { entries, truncated: true };
      as.hold?.(frame.payload.length);
      if (entries.push(entryOf(frame)) > limit) throw nonsense('more entries than asked for');
      if (entries.length % LISTED_AT_ONCE === 0) await nextTurn();
    }
  } finally {
    wire.close();
  }
}

export async function read(
  connect: Connect,
  path: string,
  as: ReadOptions,
): Promise<{ stat: FileStat; content: Readable }> {
  const wire = await call(connect, CALL.read, [
    ...paths(path, as),
    ['offset', as.offset ?? 0],
    ...(as.length === undefined ? [] : [['length', as.length] as const]),
  ]);
  const found = entryOf(await inTime(wire, wire.expect(FRAME.entry)));
  return { stat: found, content: contentOf(wire, Math.min(found.size || SIZELESS_BYTES, as.length ?? Infinity)) };
}

/** What comes, as it is asked for; never more than `most` bytes. */
function contentOf(wire: Wire, most: number): Readable {
  let bytes = 0;
  return new Readable({
    read() {
      wire.expect(FRAME.data, FRAME.done).then(
        ({ type, payload }) => {
          bytes += payload.length;
          if (bytes > most) this.destroy(nonsense('more of a file than it has'));
          else if (type === FRAME.data) this.push(payload);
          else this.push(null);
        },
        (error: Error) => this.destroy(error),
      );
    },
    destroy(error, callback) {
      wire.close();
      callback(error);
    },
  });
}

export async function write(
  connect: Connect,
  path: string,
  content: AsyncIterable<Uint8Array>,
  as: WriteOptions,
): Promise<FileStat> {
  const wire = await call(connect, CALL.write, [
    ...paths(path, as),
    ...(as.mode === undefined ? [] : [['mode', as.mode.toString(8)] as const]),
    ...Object.entries(as.xattrs ?? {}).map(([name, value]): Pair => ['xattr', `${name}=${value}`]),
    ...(as.xattrPrefix === undefined ? [] : [['xattrPrefix', as.xattrPrefix] as const]),
  ]);
  try {
    await inTime(wire, wire.expect(FRAME.ready));
    const answer = wire.expect(FRAME.entry);
    const refused = answer.then(
      () => Promise.reject(nonsense('a file before it was written')),
      (error: unknown) => Promise.reject(error),
    );
    refused.catch(() => {});
    for await (const chunk of content) await Promise.race([sendContent(wire, chunk), refused]);
    await wire.send(FRAME.done).catch(() => {});
    return entryOf(await inTime(wire, answer, LONG_ANSWER_MS));
  } finally {
    wire.close();
  }
}

async function sendContent(wire: Wire, chunk: Uint8Array): Promise<void> {
  for (const piece of pieces(chunk)) await wire.send(FRAME.data, piece);
}

export const makeDirectory = (connect: Connect, path: string, as: { user: string }): Promise<FileStat> =>
  one(connect, CALL.make, paths(path, as));

export const move = (connect: Connect, source: string, destination: string, as: { user: string }): Promise<FileStat> =>
  one(connect, CALL.move, [...paths(source, as), ['destination', destination]]);

export async function remove(connect: Connect, path: string, as: { user: string }): Promise<void> {
  await ask(connect, CALL.remove, paths(path, as), LONG_ANSWER_MS);
}

/** Resolves when the watch stands. Ends with the directory; throws `EOVERFLOW` where too much has changed to be told. */
export async function watch(connect: Connect, path: string, as: { user: string; recursive: boolean }): Promise<Watch> {
  const wire = await call(connect, CALL.watch, [...paths(path, as), ['recursive', as.recursive ? 1 : 0]]);
  await inTime(wire, wire.expect(FRAME.ready));
  let isOver = false;
  const close = () => {
    isOver = true;
    wire.close();
  };
  const next = async (): Promise<IteratorResult<WatchEvent, undefined>> => {
    const frame = isOver ? undefined : await wire.expect(FRAME.event, FRAME.done).catch(unless(() => isOver));
    if (frame?.type === FRAME.event) return { done: false, value: eventOf(frame) };
    close();
    return { done: true, value: undefined };
  };
  return { close, [Symbol.asyncIterator]: () => ({ next }) };
}

/** Passes an error on, unless it no longer matters. */
const unless =
  (isOver: () => boolean) =>
  (error: unknown): undefined => {
    if (!isOver()) throw error;
  };

const paths = (path: string, { user }: { user: string }): Pair[] => [
  ['user', user],
  ['path', path],
];

async function one(connect: Connect, type: number, pairs: Pair[]): Promise<FileStat> {
  const wire = await call(connect, type, pairs);
  try {
    return entryOf(await inTime(wire, wire.expect(FRAME.entry)));
  } finally {
    wire.close();
  }
}

function entryOf({ payload }: Frame): FileStat {
  const pairs = decodePairs(payload);
  const fields = new Map(pairs);
  const text = (key: string): string => {
    const value = fields.get(key);
    if (value === undefined) throw nonsense(`a file without ${key}`);
    return value;
  };
  const kind = kindOf(fields.get('kind'));
  if (kind === undefined) throw nonsense('a file of no kind');
  return {
    name: text('name'),
    path: text('path'),
    kind,
    targetKind: kindOf(fields.get('targetKind')),
    size: sizeOf(text('size')),
    mode: modeOf(text('mode')),
    uid: numberIn(text('uid'), 0, MAX_ID),
    gid: numberIn(text('gid'), 0, MAX_ID),
    owner: text('owner'),
    group: text('group'),
    modifiedAt: modifiedOf(text('modified')),
    target: fields.get('target'),
    xattrs: Object.fromEntries(pairs.flatMap(([key, value]) => (key === 'xattr' ? [splitAt(value, '=')] : []))),
  };
}

const kindOf = (text: string | undefined): FileKind | undefined => KINDS.find((kind) => kind === text);

function modeOf(text: string): number {
  const mode = Number.parseInt(text, 8);
  if (!/^[0-7]{1,4}$/.test(text) || mode > MAX_MODE) throw nonsense('a mode');
  return mode;
}

function sizeOf(text: string): number {
  if (!SIZE.test(text)) throw nonsense('a size');
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER);
}

function modifiedOf(text: string): Date {
  const [, seconds, nanoseconds = ''] = MODIFIED.exec(text) ?? [];
  if (seconds === undefined) throw nonsense('a time');
  const milliseconds = Number(seconds) * 1_000 + Number(nanoseconds.slice(0, MILLISECOND_DIGITS));
  return new Date(Math.max(EARLIEST_MS, Math.min(LATEST_MS, milliseconds)));
}

function eventOf({ payload }: Frame): WatchEvent {
  const fields = new Map(decodePairs(payload));
  const [path, type] = [fields.get('path'), EVENT_TYPES.find((each) => each === fields.get('type'))];
  if (path === undefined || type === undefined) throw nonsense('a change');
  return { path, type };
}
