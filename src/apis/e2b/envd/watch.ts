import { z } from 'zod';
import type { WatchEvent } from '../../../domains/machines/index.ts';
import type { RawAnswer } from '../../contract.ts';
import { within, type Visit } from './access.ts';
import type { EntryInfo } from './entry.ts';
import { RpcFailure } from './failure.ts';
import { entryAt, named } from './filesystem.ts';
import { absolutePath, rpcUser } from './path.ts';
import { readFramed, timeoutMs } from './protocol.ts';
import { streamed } from './stream.ts';

/** Watching a directory, as a stream (clause 3 of the sheet). */

export const WatchRequest = z.object({
  path: z
    .string()
    .nullish()
    .transform((path) => path ?? ''),
  recursive: z.boolean().nullish(),
  includeEntry: z.boolean().nullish(),
  allowNetworkMounts: z.boolean().nullish(),
});
export type WatchRequest = z.output<typeof WatchRequest>;

export type FilesystemEvent = { name: string; type: string; entry?: EntryInfo };
/** Events of one directory; `close` ends them. */
export type DirectoryWatch = { events: AsyncIterable<FilesystemEvent>; close(): void };

const TYPE = {
  create: 'EVENT_TYPE_CREATE',
  write: 'EVENT_TYPE_WRITE',
  remove: 'EVENT_TYPE_REMOVE',
  rename: 'EVENT_TYPE_RENAME',
  chmod: 'EVENT_TYPE_CHMOD',
} as const;
/** Events after which there is something to look at. */
const SHOWN = new Set<WatchEvent['type']>(['create', 'write', 'chmod']);

export const watchDir = (visit: Visit): Promise<RawAnswer> =>
  streamed(visit, { keepalive: { keepalive: {} }, timeoutMs: timeoutMs(visit.request) }, () =>
    within(visit, async () => {
      const watch = await openWatch(visit, await readFramed(visit, WatchRequest));
      return { messages: messagesOf(watch), close: () => watch.close() };
    }),
  );

async function* messagesOf({ events }: DirectoryWatch): AsyncIterable<unknown> {
  yield { start: {} };
  for await (const filesystem of events) yield { filesystem };
}

/** Answers when the watch stands. */
export async function openWatch(visit: Visit, request: WatchRequest): Promise<DirectoryWatch> {
  const { machines, op, sandbox } = visit;
  const user = await rpcUser(visit);
  const path = await absolutePath(visit, user, request.path);
  const { kind } = await named(path, () => machines.stat(op, sandbox.machineId, path, { user, follow: true }));
  if (kind !== 'directory') throw new RpcFailure('invalid_argument', `path ${path} not a directory`);
  const watch = await machines.watch(op, sandbox.machineId, path, { user, recursive: request.recursive ?? false });
  const present = async ({ path: name, type }: WatchEvent): Promise<FilesystemEvent> => {
    const entry =
      request.includeEntry && SHOWN.has(type)
        ? // By now it may be gone again.
          await entryAt(visit, user, `${path}/${name}`).catch(() => undefined)
        : undefined;
    return { name, type: TYPE[type], ...(entry && { entry }) };
  };
  return {
    events: (async function* () {
      for await (const event of watch) yield await present(event);
    })(),
    close: () => watch.close(),
  };
}
