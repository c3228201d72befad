import { posix } from 'node:path';
import { AppError, isAppError } from '../../kernel/errors.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { findSample } from './dataset-store.ts';
import { readySession } from './policy.ts';
import type { Session } from './session.ts';
import { noteActivity } from './session-store.ts';
import type { EnvironmentsWorld } from './world.ts';

const MAX_FILE_BYTES = 10_000_000;
const MAX_PATH_LENGTH = 4_096;

export type ReplaceRequest = { path: string; replace: string; insert: string };
export type Replaced = { success: boolean; message: string };

/** One replacement in a session at a time in this process: two on one file must not undo each other. */
const queues = new Map<string, Promise<unknown>>();

/**
 * Replaces a text in a file, where it is there exactly once. What an agent can set right is an answer and no error: a
 * file that is not there, a text that is not in it or is there several times.
 */
export async function replace(
  world: EnvironmentsWorld,
  op: AccountOp,
  sessionId: string,
  request: ReplaceRequest,
): Promise<Replaced> {
  check(request);
  const session = await readySession(world.db, op, sessionId);
  await world.db.transact((tx) => noteActivity(tx, session.id, op.now));
  return inTurn(session.id, async () => {
    try {
      return await inFile(world, op, session, request);
    } catch (error) {
      if (!isAppError(error) || error.code === 'conflict') throw error;
      return { success: false, message: `${request.path}: ${error.message}` };
    }
  });
}

function check({ path, replace: wanted }: ReplaceRequest): void {
  if (path === '' || path.length > MAX_PATH_LENGTH)
    throw new AppError('invalid', `file_path must be 1 to ${MAX_PATH_LENGTH} characters`);
  if (wanted === '') throw new AppError('invalid', 'str_to_replace must not be empty');
}

async function inTurn<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
  const turn = (queues.get(key) ?? Promise.resolve()).then(work, work);
  queues.set(key, turn);
  try {
    return await turn;
  } finally {
    if (queues.get(key) === turn) queues.delete(key);
  }
}

async function inFile(
  { db, machines }: EnvironmentsWorld,
  op: AccountOp,
  session: Session,
  request: ReplaceRequest,
): Promise<Replaced> {
  const sample = await findSample(db, session.sample);
  const path = posix.resolve(sample?.recipe.workdir ?? '/', request.path);
  const before = await machines.readFile(op, session.machineId, path, { maxBytes: MAX_FILE_BYTES });
  // Bytes, so that a file that is not UTF-8 stays what it is around the place.
  const wanted = Buffer.from(request.replace);
  const at = before.indexOf(wanted);
  if (at < 0) return { success: false, message: `The text was not found in ${request.path}` };
  const places = countOf(before, wanted);
  if (places > 1) return { success: false, message: `The text is in ${request.path} ${places} times: give more of it` };
  const after = Buffer.concat([
    before.subarray(0, at),
    Buffer.from(request.insert),
    before.subarray(at + wanted.length),
  ]);
  await machines.writeFile(op, session.machineId, path, after);
  return { success: true, message: `Replaced the text in ${request.path}` };
}

/** Places where a text begins; they may overlap. */
function countOf(bytes: Buffer, wanted: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) count++;
  return count;
}
