import { isAppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { after, elapsedMs, SECOND } from '../../kernel/time.ts';
import { beginMeter } from '../ledger/index.ts';
import type { StartRequest } from '../machines/index.ts';
import { findSample } from './dataset-store.ts';
import { end } from './end.ts';
import { tell } from './facts.ts';
import { layOut } from './lay-out.ts';
import { available, pay } from './money.ts';
import { gone, removeMachine } from './remove.ts';
import { BASE_IMAGE, type Sample } from './sample.ts';
import { ENDINGS, LEASE_MARGIN_MS, MAX_STARTING_MS, type Ending, type Session, type SessionId } from './session.ts';
import { findSession, lockSession, postpone, writeReady } from './session-store.ts';
import { recordOp, type EnvironmentsWorld } from './world.ts';

/** After so many failures of another kind than a full host a session ends as `error`. */
const MAX_FAILURES = 3;
const RETRY_MS = 2 * SECOND;

/** Gives a session its machine, with the sample's files in it. Where there is no room, the session waits. */
export async function start(world: EnvironmentsWorld, op: Op, id: SessionId): Promise<void> {
  const session = await findSession(world.db, id);
  if (session?.state === 'creating') await startOne(world, op, session);
  // It was over before, or ended meanwhile: whoever removed its machine then may have come too early.
  await removeMachine(world, recordOp(world, op), id, 'last');
}

async function startOne(world: EnvironmentsWorld, op: Op, session: Session): Promise<void> {
  const sample = await findSample(world.db, session.sample);
  if (!sample) return await fail(world, op, session, ENDINGS.notStarted('start_failed', 'The sample is gone'));
  try {
    await world.machines.start(op, requestOf(session, sample, op));
    if (!session.snapshotId) await layOut(world, op, session.machineId, sample);
  } catch (error) {
    // A server that stops hands this on to another.
    if (op.signal.aborted) throw error;
    return notStarted(world, recordOp(world, op), session, error);
  }
  await becomeReady(world, recordOp(world, op), session);
  if (session.snapshotId) await world.machines.removeSnapshot(op, session.snapshotId).catch(gone);
}

function requestOf(session: Session, { recipe }: Sample, op: Op): StartRequest {
  return {
    id: session.machineId,
    accountId: session.accountId,
    purpose: `session:${session.id}`,
    image: recipe.image ?? BASE_IMAGE,
    limits: recipe.limits,
    network: recipe.internet ? 'egress' : 'none',
    leaseMs: Math.max(0, elapsedMs(op.now, session.expiresAt)) + LEASE_MARGIN_MS,
    snapshot: session.snapshotId,
  };
}

/** From here on it is paid, unless it is over by now. */
const becomeReady = (world: EnvironmentsWorld, op: Op, { id }: Session): Promise<void> =>
  world.db.transact(async (tx) => {
    const session = await lockSession(tx, id);
    if (session?.state !== 'creating') return;
    const first = beginMeter(session.meter, op.now);
    if ((await available(world.ledger, tx, session)) < first.owed)
      return void (await end(world, tx, op, id, ENDINGS.outOfMoney('error')));
    await writeReady(tx, await pay(world.ledger, tx, op, session, first), op.now);
    await tell(tx, op, 'session.ready', session);
  });

/** A full host is no failure: the session waits its turn, for a while. */
async function notStarted(world: EnvironmentsWorld, op: Op, session: Session, error: unknown): Promise<void> {
  const isFull = isAppError(error, 'at_capacity');
  if (!isFull) world.log.warn({ sessionId: session.id, err: error }, 'a session got no machine');
  if (isOver(session, op)) return fail(world, op, session, lateEnding(isFull));
  if (!isFull && session.failures + 1 >= MAX_FAILURES)
    return fail(world, op, session, ENDINGS.notStarted('start_failed', 'The environment could not be started'));
  await world.db.transact((tx) => postpone(tx, session.id, after(op.now, RETRY_MS), isFull ? 0 : 1));
}

export const isOver = ({ requestedAt, expiresAt }: Session, { now }: Op): boolean =>
  elapsedMs(requestedAt, now) >= MAX_STARTING_MS || expiresAt <= now;

export const lateEnding = (isFull: boolean): Ending =>
  isFull
    ? ENDINGS.notStarted('at_capacity', 'The server had no room for the session')
    : ENDINGS.notStarted('start_timeout', 'The environment did not start in time');

async function fail(world: EnvironmentsWorld, op: Op, { id }: Session, ending: Ending): Promise<void> {
  await world.db.transact((tx) => end(world, tx, op, id, ending, 'creating'));
}
