import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { createShares } from '../../../kernel/shares.ts';
import { MINUTE } from '../../../kernel/time.ts';
import { within, type Visit } from './access.ts';
import { RpcFailure } from './failure.ts';
import { readMessage } from './protocol.ts';
import { openWatch, WatchRequest, type DirectoryWatch, type FilesystemEvent } from './watch.ts';

/** Watching a directory by asking now and then. What has happened is kept in this process until it is asked for. */

/** Of one sandbox, and of all. */
const MAX_WATCHERS = { each: 64, all: 4_096 };
const MAX_EVENTS = 10_000;
/** Bytes of events, of all watchers of one sandbox and of all: a path may be long, an entry has attributes of any kind. */
const MAX_KEPT = { each: 4_194_304, all: 134_217_728 };
/** A watcher that nobody asks for so long is taken away. */
const FORGOTTEN_AFTER_MS = 10 * MINUTE;
const ID_BYTES = 12;
/** Tells the processes of one server apart. */
const MARK_BYTES = 4;
const WATCHER_ID = /^[0-9a-f]{32}$/;

type Watcher = { code: string; events: FilesystemEvent[]; bytes: number; timer: NodeJS.Timeout; close(): void };
const ById = z.object({ watcherId: z.string() });

export type Watchers = {
  create(visit: Visit): Promise<unknown>;
  events(visit: Visit): Promise<unknown>;
  remove(visit: Visit): Promise<unknown>;
};

export function createWatchers(): Watchers {
  const ownMark = randomBytes(MARK_BYTES).toString('hex');
  const watchers = new Map<string, Watcher>();
  const places = createShares<string>(MAX_WATCHERS);
  const { keep, forget } = createKeeping();
  const end = (id: string) => {
    const watcher = watchers.get(id);
    if (!watcher) return;
    watchers.delete(id);
    places.give(watcher.code);
    clearTimeout(watcher.timer);
    watcher.close();
  };
  const find = async (visit: Visit): Promise<[string, Watcher]> => {
    const { watcherId } = await readMessage(visit, ById);
    const watcher = watchers.get(watcherId);
    if (watcher?.code !== visit.sandbox.code)
      throw new RpcFailure('not_found', `watcher with id ${watcherId} not found${whereabouts(watcherId, ownMark)}`);
    return [watcherId, watcher];
  };
  return {
    create: (visit) =>
      within(visit, async () => {
        const request = await readMessage(visit, WatchRequest);
        const { code } = visit.sandbox;
        if (!places.take(code))
          throw new RpcFailure('resource_exhausted', `A sandbox has at most ${MAX_WATCHERS.each} watchers`);
        const watch = await openLasting(visit, request).catch((error: unknown) => {
          places.give(code);
          throw error;
        });
        const id = ownMark + randomBytes(ID_BYTES).toString('hex');
        const timer = setTimeout(end, FORGOTTEN_AFTER_MS, id).unref();
        const watcher: Watcher = { code, events: [], bytes: 0, timer, close: watch.close };
        watchers.set(id, watcher);
        void collect(watcher, watch.events, keep).finally(() => {
          end(id);
          forget(watcher);
        });
        return { watcherId: id };
      }),
    events: async (visit) => {
      const [, watcher] = await find(visit);
      watcher.timer.refresh();
      forget(watcher);
      return { events: watcher.events.splice(0) };
    },
    remove: async (visit) => {
      const [id] = await find(visit);
      end(id);
      return {};
    },
  };
}

/** Counts what watchers keep. */
function createKeeping() {
  const kept = createShares<string>(MAX_KEPT);
  return {
    /** False where its sandbox, or all of them, have too much kept. */
    keep(watcher: Watcher, bytes: number): boolean {
      const hasRoom = kept.take(watcher.code, bytes);
      watcher.bytes += hasRoom ? bytes : 0;
      return hasRoom;
    },
    forget(watcher: Watcher): void {
      kept.give(watcher.code, watcher.bytes);
      watcher.bytes = 0;
    },
  };
}

/** A watch that goes on after the request that asked for it. */
async function openLasting(visit: Visit, request: WatchRequest): Promise<DirectoryWatch> {
  const lasting = new AbortController();
  const watch = await openWatch({ ...visit, op: { ...visit.op, signal: lasting.signal } }, request);
  const close = () => {
    watch.close();
    lasting.abort();
  };
  return { events: watch.events, close };
}

/** What there is to say of one that is not known here. */
const whereabouts = (id: string, ownMark: string): string =>
  id.startsWith(ownMark) || !WATCHER_ID.test(id)
    ? ''
    : ': it was made by another process of the server, which may have ended; create it again';

/** Until the watch ends, the sandbox with it, or too much has come that nobody wants to know. */
async function collect(
  watcher: Watcher,
  events: AsyncIterable<FilesystemEvent>,
  keep: (watcher: Watcher, bytes: number) => boolean,
): Promise<void> {
  try {
    for await (const event of events) {
      watcher.events.push(event);
      if (watcher.events.length >= MAX_EVENTS || !keep(watcher, sizeOf(event))) return;
    }
  } catch {
    // The sandbox is gone or paused: whoever asks for the watcher then is told that there is none.
    return;
  }
}

const sizeOf = (event: FilesystemEvent): number => JSON.stringify(event).length;
