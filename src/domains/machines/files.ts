import { PassThrough, type Readable } from 'node:stream';
import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { checkedUser, DEFAULT_USER, pathOf } from './command.ts';
import { withoutDrafts } from './drafts.ts';
import { fileWording } from './file-errors.ts';
import { MachineLost, type FileStat, type WatchEvent } from './init/index.ts';
import { ask, asked, reach, worded, type Reached } from './reach.ts';
import { holding } from './whole.ts';
import type { MachinesWorld } from './world.ts';

// Everything is done inside the machine, by its init as the user who asks: a link, a `..` or a device can lead to what
// is in the machine and to nothing else.

export type FileUser = { user?: string | undefined };
export type ReadOptions = FileUser & { offset?: number | undefined; length?: number | undefined };
export type WriteOptions = FileUser & {
  /** Permission bits; where it is not said, those of the file that is there, or 0644. */
  mode?: number | undefined;
  /** Extended attributes of `user.*`. Those that begin with `xattrPrefix` and are not named here are removed. */
  xattrs?: Record<string, string> | undefined;
  xattrPrefix?: string | undefined;
};
/** What happens in a directory, as it happens. */
export type Watch = AsyncIterable<WatchEvent> & { close(): void };
export type ListOptions = FileUser & { depth?: number | undefined; limit?: number | undefined };

const MAX_PATH_BYTES = 4_096;
const MAX_MODE = 0o7777;
const MAX_DEPTH = 64;
const DEFAULT_LISTED = 10_000;
const MAX_LISTED = 100_000;
const MAX_ATTRIBUTES = 64;
const MAX_ATTRIBUTE_BYTES = 4_096;
const ATTRIBUTE = /^user\.[\x21-\x7e]{1,250}$/;

/** What is at a path; where a link is, the link itself unless it is to be followed. */
export const stat = (
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  { user = DEFAULT_USER, follow = false }: FileUser & { follow?: boolean } = {},
): Promise<FileStat> =>
  ask(world, op, id, fileWording, async (reached) =>
    reached.init.stat(await checkedPath(reached, user, path), { user, follow }),
  );

export type Listed = { entries: FileStat[]; truncated: boolean };

/**
 * What `use` makes of what is below a directory, as deep as is said (1: in itself), each directory before what is in
 * it. Until it has ended, the list counts as held in memory. Throws `rate_limited` where too much is.
 */
export async function list<Result>(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  { user = DEFAULT_USER, depth = 1, limit = DEFAULT_LISTED }: ListOptions,
  use: (listed: Listed) => Result | Promise<Result>,
): Promise<Result> {
  if (!Number.isInteger(depth) || depth < 1 || depth > MAX_DEPTH)
    throw new AppError('invalid', `depth must be from 1 to ${MAX_DEPTH}`);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LISTED)
    throw new AppError('invalid', `limit must be from 1 to ${MAX_LISTED}`);
  return holding(id, async (hold) => {
    const listed = await ask(world, op, id, fileWording, async (reached) =>
      reached.init.list(await checkedPath(reached, user, path), { user, depth, limit, hold }),
    );
    return use(listed);
  });
}

/** A file's content as it is read, from and up to where it is said. It ends when the op is not wanted any more. */
export async function readStream(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  { user = DEFAULT_USER, offset = 0, length }: ReadOptions = {},
): Promise<{ stat: FileStat; content: Readable }> {
  for (const number of [offset, length ?? 0])
    if (!Number.isSafeInteger(number) || number < 0) throw new AppError('invalid', 'A range is given in bytes.');
  const reached = await reach(world, op, id);
  return await asked(op, fileWording, async () => {
    const found = await reached.init.read(await checkedPath(reached, user, path), { user, offset, length });
    return { stat: found.stat, content: wordedContent(op, found.content) };
  });
}

/**
 * Writes a file and the directories that it needs, beside the old one and then in its place, so that a reader sees
 * the old or the new and a full disk loses nothing.
 */
export async function writeStream(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  content: AsyncIterable<Uint8Array>,
  { user = DEFAULT_USER, mode, xattrs, xattrPrefix }: WriteOptions = {},
): Promise<FileStat> {
  if (mode !== undefined && !(Number.isInteger(mode) && mode >= 0 && mode <= MAX_MODE))
    throw new AppError('invalid', 'mode must be octal, as in 644');
  checkAttributes(xattrs ?? {}, xattrPrefix);
  const reached = await reach(world, op, id);
  return await asked(op, fileWording, async () =>
    reached.init.write(await checkedPath(reached, user, path), content, { user, mode, xattrs, xattrPrefix }),
  );
}

/** Makes a directory and those above it. Throws `conflict` where it is there. */
export const makeDirectory = (
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  { user = DEFAULT_USER }: FileUser = {},
): Promise<FileStat> =>
  ask(world, op, id, fileWording, async (reached) =>
    reached.init.makeDirectory(await checkedPath(reached, user, path), { user }),
  );

/** Gives a file or directory another path, and makes the directories that it needs there. */
export const move = (
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  source: string,
  destination: string,
  { user = DEFAULT_USER }: FileUser = {},
): Promise<FileStat> =>
  ask(world, op, id, fileWording, async (reached) => {
    const from = await checkedPath(reached, user, source);
    return reached.init.move(from, await checkedPath(reached, user, destination), { user });
  });

/** Removes a file, or a directory with all that is in it. */
export const remove = (
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  { user = DEFAULT_USER }: FileUser = {},
): Promise<void> =>
  ask(world, op, id, fileWording, async (reached) =>
    reached.init.remove(await checkedPath(reached, user, path), { user }),
  );

/** What happens in a directory from the moment of the answer, until it is closed or the op is not wanted any more. */
export async function watch(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  path: string,
  { user = DEFAULT_USER, recursive = false }: FileUser & { recursive?: boolean | undefined } = {},
): Promise<Watch> {
  const reached = await reach(world, op, id);
  const events = await asked(op, fileWording, async () =>
    reached.init.watch(await checkedPath(reached, user, path), { user, recursive }),
  );
  return {
    close: () => events.close(),
    async *[Symbol.asyncIterator]() {
      try {
        yield* withoutDrafts(events);
      } catch (error) {
        throw worded(op, fileWording, error);
      }
    },
  };
}

export function checkedPath(reached: Reached, user: string, path: string): Promise<string> {
  checkedUser(user);
  if (path === '' || Buffer.byteLength(path) > MAX_PATH_BYTES)
    throw new AppError('invalid', 'This path cannot name a file.');
  return pathOf(reached, user, path);
}

function checkAttributes(xattrs: Readonly<Record<string, string>>, prefix: string | undefined): void {
  const entries = Object.entries(xattrs);
  const fits = ([name, value]: [string, string]) =>
    ATTRIBUTE.test(name) && Buffer.byteLength(value) <= MAX_ATTRIBUTE_BYTES;
  if (entries.length > MAX_ATTRIBUTES || !entries.every(fits) || (prefix !== undefined && !prefix.startsWith('user.')))
    throw new AppError('invalid', 'These extended attributes cannot be set.');
}

/** The same content, whose failure is the caller's to see. */
function wordedContent(op: Op, content: Readable): Readable {
  const shown = new PassThrough();
  content.once('error', (error) => shown.destroy(worded(op, fileWording, error)));
  content.once(
    'close',
    () => content.readableEnded || shown.destroy(worded(op, fileWording, new MachineLost('The content ended early.'))),
  );
  shown.once('close', () => content.destroy());
  return content.pipe(shown);
}
