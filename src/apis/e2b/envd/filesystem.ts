import { z } from 'zod';
import type { FileStat } from '../../../domains/machines/index.ts';
import { AppError, isAppError } from '../../../kernel/errors.ts';
import { nextTurn } from '../../../kernel/turns.ts';
import type { RawAnswer } from '../../contract.ts';
import { within, type Visit } from './access.ts';
import { entryOf, type EntryInfo } from './entry.ts';
import { RpcFailure } from './failure.ts';
import { absolutePath, rpcUser } from './path.ts';
import { readMessage } from './protocol.ts';

/** filesystem.Filesystem, the calls that are answered at once (clause 3 of the sheet). */

const MAX_DEPTH = 64;
const MAX_ENTRIES = 20_000;
/** Entries that are shown before somebody else has a turn. */
const SHOWN_AT_ONCE = 128;
/** Links whose targets are looked at at the same time. */
const LINKS_AT_ONCE = 8;
const Path = z.object({
  path: z
    .string()
    .nullish()
    .transform((path) => path ?? ''),
});

export const stat = (visit: Visit): Promise<unknown> =>
  withPath(visit, async (user, path) => ({ entry: await entryAt(visit, user, path) }));

export const makeDir = (visit: Visit): Promise<unknown> =>
  withPath(visit, async (user, path) => {
    const { machines, op, sandbox } = visit;
    try {
      const made = await machines.makeDirectory(op, sandbox.machineId, path, { user });
      return { entry: await entryOf(visit, user, made) };
    } catch (error) {
      if (isAppError(error)) throw (await whyNotMade(visit, user, path)) ?? error;
      throw error;
    }
  });

/** A directory that is there is told from a file that is there; undefined where nothing is. */
async function whyNotMade(visit: Visit, user: string, path: string): Promise<AppError | undefined> {
  const { machines, op, sandbox } = visit;
  const found = await machines.stat(op, sandbox.machineId, path, { user, follow: true }).catch(() => undefined);
  if (!found) return undefined;
  return found.kind === 'directory'
    ? new RpcFailure('already_exists', `directory already exists: ${path}`)
    : new RpcFailure('invalid_argument', `path already exists but it is not a directory: ${path}`);
}

export const move = (visit: Visit): Promise<unknown> =>
  within(visit, async () => {
    const { machines, op, sandbox } = visit;
    const message = await readMessage(visit, z.object({ source: z.string(), destination: z.string() }));
    const user = await rpcUser(visit);
    const source = await absolutePath(visit, user, message.source);
    const destination = await absolutePath(visit, user, message.destination);
    const moved = await named(source, () => machines.move(op, sandbox.machineId, source, destination, { user }));
    return { entry: await entryOf(visit, user, moved) };
  });

export const remove = (visit: Visit): Promise<unknown> =>
  withPath(visit, async (user, path) => {
    const { machines, op, sandbox } = visit;
    await machines.remove(op, sandbox.machineId, path, { user }).catch((error: unknown) => {
      if (!isAppError(error, 'not_found')) throw error;
    });
    return {};
  });

export const listDir = (visit: Visit): Promise<RawAnswer> =>
  within(visit, async () => {
    const { machines, op, sandbox } = visit;
    const schema = Path.extend({ depth: z.int().min(0).nullish() });
    const message = await readMessage(visit, schema);
    const user = await rpcUser(visit);
    const path = await absolutePath(visit, user, message.path);
    const depth = Math.min(message.depth || 1, MAX_DEPTH);
    return named(path, () =>
      machines.listTree(op, sandbox.machineId, path, { user, depth, limit: MAX_ENTRIES }, ({ entries, truncated }) => {
        if (truncated) throw new RpcFailure('resource_exhausted', `${path} has more than ${MAX_ENTRIES} entries`);
        return shown(visit, user, entries);
      }),
    );
  });

/** As JSON that is put together piece by piece: a list may be long, and others want to be answered meanwhile. */
async function shown(visit: Visit, user: string, entries: readonly FileStat[]): Promise<RawAnswer> {
  const pieces: string[] = [];
  for (let at = 0; at < entries.length; at += SHOWN_AT_ONCE) {
    if (at > 0) await nextTurn();
    const infos: EntryInfo[] = [];
    const some = entries.slice(at, at + SHOWN_AT_ONCE);
    for (let from = 0; from < some.length; from += LINKS_AT_ONCE)
      infos.push(
        ...(await Promise.all(some.slice(from, from + LINKS_AT_ONCE).map((entry) => entryOf(visit, user, entry)))),
      );
    pieces.push(JSON.stringify(infos).slice(1, -1));
  }
  const headers = { 'content-type': 'application/json' };
  return { status: 200, headers, body: `{"entries":[${pieces.join(',')}]}` };
}

/** The entry at a path, not followed where it is a link. */
export async function entryAt(visit: Visit, user: string, path: string): Promise<EntryInfo> {
  const { machines, op, sandbox } = visit;
  const found = await named(path, () => machines.stat(op, sandbox.machineId, path, { user, follow: false }));
  return entryOf(visit, user, found);
}

const withPath = (visit: Visit, work: (user: string, path: string) => Promise<unknown>): Promise<unknown> =>
  within(visit, async () => {
    const message = await readMessage(visit, Path);
    const user = await rpcUser(visit);
    return work(user, await absolutePath(visit, user, message.path));
  });

/** Names the path that was not found. */
export async function named<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (isAppError(error, 'not_found'))
      throw new AppError('not_found', `path '${path}' does not exist`, { cause: error });
    throw error;
  }
}
