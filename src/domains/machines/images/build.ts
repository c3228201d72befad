import type { Op } from '../../../kernel/op.ts';
import { newId } from '../../../kernel/op.ts';
import { AppError } from '../../../kernel/errors.ts';
import { after, SECOND, type Clock } from '../../../kernel/time.ts';
import type { Database } from '../../../platform/db.ts';
import type { Log } from '../../../platform/log.ts';
import { buildLog, type BuildLog } from './build-log.ts';
import { failureOf, INTERRUPTED, TIMED_OUT } from './failure.ts';
import * as facts from './facts.ts';
import { MAX_ACCOUNT_BYTES, type Image, type ImageConfig } from './image.ts';
import {
  beginAttempt,
  keepAttempt,
  keepLog,
  leaveAttempt,
  lockAccount,
  markFailed,
  markReady,
  nextToBuild,
  taken,
  type Attempt,
} from './image-store.ts';
import { makeImage } from './make.ts';
import type { Shelf } from './shelf.ts';
import { BUILD_TIMEOUT_MS, type BuilderMachines } from './workshop.ts';

export type BuildDeps = {
  db: Database;
  clock: Clock;
  log: Log;
  machines: BuilderMachines;
  shelf: Shelf;
  insecureRegistries: readonly string[];
};

/** An attempt that has not been heard of for so long is over, and another process begins anew. */
const HOLD_MS = 20 * SECOND;
const BEAT_MS = 2 * SECOND;
const MAX_ATTEMPTS = 3;

/** Makes one image, if one is waiting and none is being made. Answers whether it took one up. */
export async function buildNext(deps: BuildDeps, op: Op): Promise<boolean> {
  const next = await takeUp(deps, op);
  if (!next) return false;
  if (next.attempt === undefined) return true;
  if (next.image.machineId) await deps.machines.destroy(op, next.image.machineId);
  await work(deps, op, next.image, next.attempt);
  return true;
}

type TakenUp = { image: Image; attempt: Attempt | undefined };

function takeUp(deps: BuildDeps, op: Op): Promise<TakenUp | undefined> {
  return deps.db.transact(async (tx) => {
    const now = deps.clock.now();
    const image = await nextToBuild(tx, now);
    if (!image) return undefined;
    if (image.attempts >= MAX_ATTEMPTS) {
      const failed = await markFailed(tx, { id: image.id, machineId: image.machineId }, INTERRUPTED, now);
      if (failed) await facts.tell(tx, op, 'image.failed', failed);
      return { image, attempt: undefined };
    }
    const attempt = { id: image.id, machineId: newId(op, 'machine') };
    await beginAttempt(tx, attempt.id, attempt.machineId, after(now, HOLD_MS));
    return { image, attempt };
  });
}

async function work(deps: BuildDeps, op: Op, image: Image, attempt: Attempt): Promise<void> {
  const log = buildLog();
  const overdue = AbortSignal.timeout(BUILD_TIMEOUT_MS);
  const pulse = keepHold(deps, attempt, log);
  const signal = AbortSignal.any([op.signal, overdue, pulse.lost]);
  try {
    const config = await makeImage(deps, { ...op, signal }, { image, machineId: attempt.machineId, tell: log.add });
    log.add('Unpacking.\n');
    await finish(deps, op, image, attempt, config, log);
  } catch (error) {
    if (pulse.lost.aborted) return;
    if (op.signal.aborted) {
      await deps.db.transact((tx) => leaveAttempt(tx, attempt));
      throw error;
    }
    await giveUp(deps, op, image, attempt, log, overdue.aborted ? undefined : error);
  } finally {
    await pulse.stop();
    await deps.machines.destroy({ ...op, signal: new AbortController().signal }, attempt.machineId);
    await deps.shelf.dropDraft(attempt);
  }
}

/** Puts the image in its place, and only then says that it is there. */
async function finish(
  deps: BuildDeps,
  op: Op,
  image: Image,
  attempt: Attempt,
  config: ImageConfig,
  log: BuildLog,
): Promise<void> {
  const tree = await deps.shelf.unpack(attempt);
  const until = after(deps.clock.now(), HOLD_MS);
  // The place belongs to whoever makes the image now.
  if (!(await deps.db.transact((tx) => keepAttempt(tx, attempt, until, log.text())))) return;
  await deps.shelf.place(attempt);
  const ready = await deps.db.transact(async (tx) => {
    await lockAccount(tx, image.accountId);
    const { bytes } = await taken(tx, image.accountId);
    if (bytes + tree.bytes > MAX_ACCOUNT_BYTES) return 'too much';
    const marked = await markReady(tx, attempt, { config, ...tree }, deps.clock.now());
    if (!marked) return undefined;
    log.add('Ready.\n');
    await keepLog(tx, attempt, log.text());
    await facts.tell(tx, op, 'image.ready', marked);
    return marked;
  });
  if (ready === 'too much')
    throw new AppError(
      'too_large',
      `The images of the account would fill more than ${MAX_ACCOUNT_BYTES / 2 ** 30} GiB.`,
    );
  if (ready) await deps.shelf.dropSource(image.id);
}

/** Says that there will be no image, and why; `undefined` is a build that took too long. */
async function giveUp(
  deps: BuildDeps,
  op: Op,
  image: Image,
  attempt: Attempt,
  log: BuildLog,
  error: unknown,
): Promise<void> {
  const failure = error === undefined ? { text: TIMED_OUT, isOurs: false } : failureOf(error, image.source);
  log.add(`${failure.text}\n`);
  deps.log[failure.isOurs ? 'error' : 'info']({ imageId: image.id, err: error }, 'an image could not be made');
  const failed = await deps.db.transact(async (tx) => {
    const marked = await markFailed(tx, attempt, failure.text, deps.clock.now());
    await keepLog(tx, attempt, log.text());
    if (marked) await facts.tell(tx, op, 'image.failed', marked);
    return marked;
  });
  // Another attempt may have been begun, which needs it.
  if (failed) await deps.shelf.dropSource(image.id);
}

/** Keeps the attempt ours and its log readable. `lost` is aborted when it is not wanted any more. */
function keepHold(deps: BuildDeps, attempt: Attempt, log: BuildLog) {
  const lost = new AbortController();
  let beating: Promise<void> = Promise.resolve();
  const beat = async () => {
    const until = after(deps.clock.now(), HOLD_MS);
    const held = await deps.db.transact((tx) => keepAttempt(tx, attempt, until, log.text()));
    if (!held) lost.abort(new Error('the image is not to be made any more'));
  };
  const timer = setInterval(() => {
    beating = beating
      .then(beat)
      .catch((error: unknown) => deps.log.warn({ err: error }, 'the making of an image could not be kept'));
  }, BEAT_MS);
  return {
    lost: lost.signal,
    stop: async () => {
      clearInterval(timer);
      await beating;
    },
  };
}
