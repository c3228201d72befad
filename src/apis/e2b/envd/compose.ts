import { posix } from 'node:path';
import { z } from 'zod';
import { AppError, isAppError } from '../../../kernel/errors.ts';
import { within, type Visit } from './access.ts';
import { DiskFull } from './failure.ts';
import { absolutePath, userNamed } from './path.ts';
import { readMessage } from './protocol.ts';

/** POST /files/compose (clause 4 of the sheet): several files become one, in their order, and are no more themselves. */

const MAX_SOURCES = 1_000;
const Compose = z.object({
  source_paths: z.array(z.string().min(1)).min(1).max(MAX_SOURCES),
  destination: z.string().min(1),
  username: z.string().nullish(),
});

export const compose = (visit: Visit): Promise<unknown> =>
  within(visit, async () => {
    const { machines, op, sandbox } = visit;
    const message = await readMessage(visit, Compose);
    const user = await userNamed(visit, message.username ?? '');
    const destination = await absolutePath(visit, user, message.destination);
    const sources: string[] = [];
    for (const source of message.source_paths) sources.push(await sourceOf(visit, user, source, destination));
    const joined = async function* (): AsyncIterable<Uint8Array> {
      for (const source of sources) {
        const { content } = await machines.readStream(op, sandbox.machineId, source, { user });
        yield* content;
      }
    };
    await machines.writeStream(op, sandbox.machineId, destination, joined(), { user }).catch((error: unknown) => {
      throw isAppError(error, 'too_large') ? new DiskFull(error) : error;
    });
    // One that is named twice is removed once.
    for (const source of new Set(sources)) await machines.remove(op, sandbox.machineId, source, { user });
    return { path: destination, name: posix.basename(destination), type: 'file' };
  });

async function sourceOf(visit: Visit, user: string, source: string, destination: string): Promise<string> {
  const { machines, op, sandbox } = visit;
  const path = await absolutePath(visit, user, source);
  if (path === destination) throw new AppError('invalid', `source path '${source}' cannot be the destination as well`);
  const { kind } = await machines.stat(op, sandbox.machineId, path, { user, follow: true }).catch((cause: unknown) => {
    if (isAppError(cause, 'not_found')) throw new AppError('not_found', `source file not found: ${source}`, { cause });
    throw cause;
  });
  if (kind !== 'file') throw new AppError('invalid', `source path is not a regular file: ${source}`);
  return path;
}
