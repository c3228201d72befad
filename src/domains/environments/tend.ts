import type { Op } from '../../kernel/op.ts';
import { after, MINUTE, SECOND } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import { affordablePeriods, periodsDue, prepay } from '../ledger/index.ts';
import { end } from './end.ts';
import { countPending } from './interaction-store.ts';
import { START } from './job-names.ts';
import { available, pay } from './money.ts';
import { ENDINGS, type Session, type SessionId } from './session.ts';
import { dueToStart, dueToTend, findSession, leftBehind, lockSession, postpone, writeMeter } from './session-store.ts';
import { gone, removeMachine } from './remove.ts';
import { isOver, lateEnding } from './start.ts';
import type { EnvironmentsWorld } from './world.ts';

const BATCH = 100;
/** A start that has not ended by then is asked for once more; jobs of one session wait for each other. */
const START_AGAIN_MS = 30 * SECOND;
/** By then no start is under way that could make a machine once more. */
const REMOVE_AGAIN_MS = 6 * MINUTE;

/**
 * Starts what waits, takes money that is due and ends sessions whose time is over; answers how many. One that fails is left
 * for the next turn and stops no other.
 */
export async function tend(world: EnvironmentsWorld, op: Op): Promise<number> {
  let done = 0;
  for (const id of await dueToStart(world.db, op.now, BATCH)) done += await oneOfMany(world, op, id, nudge);
  for (const id of await dueToTend(world.db, op.now, BATCH)) done += await oneOfMany(world, op, id, tendOne);
  return done;
}

type Tending = (world: EnvironmentsWorld, op: Op, id: SessionId) => Promise<boolean>;

async function oneOfMany(world: EnvironmentsWorld, op: Op, id: SessionId, work: Tending): Promise<number> {
  try {
    return (await work(world, op, id)) ? 1 : 0;
  } catch (error) {
    world.log.warn({ sessionId: id, err: error }, 'what was due for a session could not be done yet');
    return 0;
  }
}

/** Machines that a job did not remove. */
export async function removeLeft(world: EnvironmentsWorld, op: Op): Promise<number> {
  const left = await leftBehind(world.db, after(op.now, -REMOVE_AGAIN_MS), BATCH);
  for (const id of left) await removeMachine(world, op, id);
  return left.length;
}

const nudge = ({ db, jobs, ...world }: EnvironmentsWorld, op: Op, id: SessionId): Promise<boolean> =>
  db.transact(async (tx) => {
    const session = await lockSession(tx, id);
    if (session?.state !== 'creating' || session.dueAt > op.now) return false;
    if (isOver(session, op)) {
      await end({ ...world, jobs }, tx, op, id, lateEnding(session.failures === 0), 'creating');
      return true;
    }
    await postpone(tx, id, after(op.now, START_AGAIN_MS), 0);
    // The job of a session that was just asked for is there already.
    if (session.dueAt > session.requestedAt) await jobs.enqueue(tx, START, { sessionId: id });
    return true;
  });

async function tendOne(world: EnvironmentsWorld, op: Op, id: SessionId): Promise<boolean> {
  const seen = await findSession(world.db, id);
  const isLost = seen?.state === 'ready' && !(await machineRuns(world, op, seen));
  const ranUntil = isLost ? await lastSeen(world, op, seen) : op.now;
  return world.db.transact(async (tx) => {
    const session = await lockSession(tx, id);
    if (session?.state !== 'ready') return false;
    if (session.expiresAt <= op.now) return ended(await end(world, tx, op, id, ENDINGS.expired(), 'ready'));
    if (isLost) return ended(await end(world, tx, op, id, ENDINGS.machineLost(ranUntil), 'ready'));
    if (isIdle(session, op) && (await countPending(tx, id)) === 0)
      return ended(await end(world, tx, op, id, ENDINGS.idle(), 'ready'));
    return takeMoney(world, tx, op, session);
  });
}

const ended = (session: Session | undefined): boolean => session !== undefined;

const isIdle = ({ idleMs, activeAt }: Session, { now }: Op): boolean =>
  idleMs !== undefined && after(activeAt, idleMs) <= now;

const machineRuns = ({ machines }: EnvironmentsWorld, op: Op, { machineId }: Session): Promise<boolean> =>
  machines.get(op, machineId).then(
    ({ state }) => state === 'running',
    (error: unknown) => {
      gone(error);
      return false;
    },
  );

/** Nobody pays for the time in which the host was down. */
async function lastSeen({ machines }: EnvironmentsWorld, op: Op, { machineId, meter }: Session): Promise<Date> {
  if (!meter.runningSince) return op.now;
  const seen = await machines.samples(op, machineId, { start: meter.runningSince, end: op.now }).catch(gone);
  return seen?.at(-1)?.at ?? op.now;
}

async function takeMoney(world: EnvironmentsWorld, tx: Tx, op: Op, session: Session): Promise<boolean> {
  const due = periodsDue(session.meter, op.now);
  if (due === 0) return false;
  if (affordablePeriods(session.meter, await available(world.ledger, tx, session)) < due)
    return ended(await end(world, tx, op, session.id, ENDINGS.outOfMoney('terminated'), 'ready'));
  await writeMeter(tx, await pay(world.ledger, tx, op, session, prepay(session.meter, due)));
  return true;
}
