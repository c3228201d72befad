import { AppError } from '../../kernel/errors.ts';
import type { SnapshotId } from '../../kernel/ids.ts';
import { newId, type AccountOp } from '../../kernel/op.ts';
import { after, MINUTE } from '../../kernel/time.ts';
import { PERIOD_MS, priceOf } from '../ledger/index.ts';
import { findSample, findShown } from './dataset-store.ts';
import { tell } from './facts.ts';
import { START } from './job-names.ts';
import { available } from './money.ts';
import { readySession } from './policy.ts';
import type { Sample } from './sample.ts';
import {
  hourlyOf,
  MAX_LIVING_SESSIONS,
  MAX_TTL_MINUTES,
  MIN_TTL_MINUTES,
  type Session,
  type SessionId,
} from './session.ts';
import { countLiving, findSession, insertSession, type NewSession } from './session-store.ts';
import type { EnvironmentsWorld } from './world.ts';

export type SessionRequest = {
  dataset: string;
  sampleId: string;
  ttlMinutes: number;
  /** Ends the session when nothing was asked of it for so long. */
  idleMinutes?: number | undefined;
};

type Disk = Pick<NewSession, 'forkedFrom' | 'snapshotId'>;

/**
 * Takes on a session; its machine is made by a job. Throws `not_found` for a sample that there is not, `conflict` for
 * one that cannot be run and where the account has as many sessions as it may, `unaffordable` where the first minute
 * is not there.
 */
export async function open(world: EnvironmentsWorld, op: AccountOp, request: SessionRequest): Promise<Session> {
  checkMinutes('ttl_minutes', request.ttlMinutes);
  if (request.idleMinutes !== undefined) checkMinutes('idle_timeout_minutes', request.idleMinutes);
  const sample = await findShown(world.db, { dataset: request.dataset, sampleId: request.sampleId });
  if (!sample) throw new AppError('not_found', 'Sample not found');
  if (sample.state !== 'offered') throw new AppError('conflict', `The sample cannot be run: ${sample.reason}`);
  return openOn(world, op, sample, request, { forkedFrom: undefined, snapshotId: undefined });
}

/**
 * Opens a session that begins with the files of another, as they are now. What runs there does not run here. The new
 * one is of the same version of the sample and has a time of its own.
 */
export async function fork(
  world: EnvironmentsWorld,
  op: AccountOp,
  id: string,
  { ttlMinutes }: { ttlMinutes: number },
): Promise<Session> {
  checkMinutes('ttl_minutes', ttlMinutes);
  const earlier = await earlierOf(world, op, newId(op, 'session'));
  if (earlier) return earlier;
  const origin = await readySession(world.db, op, id);
  const sample = await findSample(world.db, origin.sample);
  if (!sample) throw new AppError('not_found', 'Sample not found');
  const snapshot = await world.machines.snapshot(op, origin.machineId);
  try {
    const idleMinutes = origin.idleMs === undefined ? undefined : origin.idleMs / MINUTE;
    const disk = { forkedFrom: origin.id, snapshotId: snapshot.id };
    return await openOn(world, op, sample, { ttlMinutes, idleMinutes }, disk);
  } catch (error) {
    await dropSnapshot(world, op, snapshot.id);
    throw error;
  }
}

const dropSnapshot = ({ machines }: EnvironmentsWorld, op: AccountOp, id: SnapshotId): Promise<void> =>
  machines.removeSnapshot(op, id);

export function checkMinutes(name: string, minutes: number): void {
  if (Number.isInteger(minutes) && minutes >= MIN_TTL_MINUTES && minutes <= MAX_TTL_MINUTES) return;
  const message = `${name} must be a whole number from ${MIN_TTL_MINUTES} to ${MAX_TTL_MINUTES}`;
  throw new AppError('invalid', message);
}

async function openOn(
  world: EnvironmentsWorld,
  op: AccountOp,
  sample: Sample,
  times: Pick<SessionRequest, 'ttlMinutes' | 'idleMinutes'>,
  disk: Disk,
): Promise<Session> {
  const { accountId } = op.actor;
  const hourly = hourlyOf(sample.recipe.limits);
  const wanted: NewSession = {
    id: newId(op, 'session'),
    accountId,
    sample: sample.id,
    dataset: sample.dataset,
    sampleId: sample.sampleId,
    machineId: newId(op, 'machine', 'machine of the session'),
    ...disk,
    requestedAt: op.now,
    expiresAt: after(op.now, times.ttlMinutes * MINUTE),
    idleMs: times.idleMinutes === undefined ? undefined : times.idleMinutes * MINUTE,
    hourlyMicros: hourly,
  };
  return world.db.transact(async (tx) => {
    const earlier = await earlierOf(world, op, wanted.id);
    if (earlier) return earlier;
    if ((await countLiving(tx, accountId)) >= MAX_LIVING_SESSIONS)
      throw new AppError('conflict', `An account may have ${MAX_LIVING_SESSIONS} sessions at a time`);
    if ((await available(world.ledger, tx, { accountId })) < priceOf(hourly, PERIOD_MS))
      throw new AppError('unaffordable', 'Insufficient balance for the first minute of a session');
    await insertSession(tx, wanted);
    await world.jobs.enqueue(tx, START, { sessionId: wanted.id });
    await tell(tx, op, 'session.requested', wanted, { forkedFrom: disk.forkedFrom ?? null });
    const session = await findSession(tx, wanted.id);
    if (!session) throw new Error('a session that was just made is not there');
    return session;
  });
}

/** This very request, carried out once more. */
const earlierOf = async ({ db }: EnvironmentsWorld, op: AccountOp, id: SessionId): Promise<Session | undefined> =>
  op.seed && (await findSession(db, id));
