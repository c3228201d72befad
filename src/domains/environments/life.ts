import { AppError } from '../../kernel/errors.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { after, MINUTE } from '../../kernel/time.ts';
import { end } from './end.ts';
import { checkMinutes } from './open.ts';
import { ownSession, readySession } from './policy.ts';
import { ENDINGS, hasEnded, LEASE_MARGIN_MS, type Session } from './session.ts';
import { findSession, lockSession, writeExpiry } from './session-store.ts';
import type { EnvironmentsWorld } from './world.ts';

/** Closes a session; one that is over stays what it is. */
export async function close(world: EnvironmentsWorld, op: AccountOp, sessionId: string): Promise<Session> {
  const session = await ownSession(world.db, op, sessionId);
  const closed = await world.db.transact((tx) => end(world, tx, op, session.id, ENDINGS.closed()));
  return closed ?? (await ownSession(world.db, op, sessionId));
}

/** Lets a session live for so many minutes from now; never shorter than it would. */
export async function extend(
  world: EnvironmentsWorld,
  op: AccountOp,
  sessionId: string,
  minutes: number,
): Promise<Session> {
  checkMinutes('ttl_minutes', minutes);
  const { id, machineId } = await readySession(world.db, op, sessionId);
  const until = after(op.now, minutes * MINUTE);
  await world.machines.extendLease(op, machineId, after(until, LEASE_MARGIN_MS));
  return world.db.transact(async (tx) => {
    const session = await lockSession(tx, id);
    if (!session || hasEnded(session)) throw new AppError('conflict', 'The session is over');
    await writeExpiry(tx, id, until);
    return (await findSession(tx, id)) ?? session;
  });
}
