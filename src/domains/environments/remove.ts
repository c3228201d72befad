import { isAppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { after, MINUTE } from '../../kernel/time.ts';
import type { SessionId } from './session.ts';
import { findSession, noteMachineRemoved } from './session-store.ts';
import type { EnvironmentsWorld } from './world.ts';

/** A start that was under way when its session ended is over by then. */
const START_OVER_MS = 5 * MINUTE;

/**
 * Removes what a session that is over has left. Of one that was never ready a start may be under way, which would make
 * the machine after this: that it is gone is noted by the start itself (`last`), which looks when it is done, or later.
 */
export async function removeMachine(
  { db, machines }: EnvironmentsWorld,
  op: Op,
  id: SessionId,
  last: 'last' | 'maybe' = 'maybe',
): Promise<void> {
  const session = await findSession(db, id);
  if (!session?.endedAt || session.machineRemoved) return;
  await machines.destroy(op, session.machineId);
  if (session.snapshotId) await machines.removeSnapshot(op, session.snapshotId).catch(gone);
  const isOver = last === 'last' || session.readyAt !== undefined || after(session.endedAt, START_OVER_MS) <= op.now;
  if (isOver) await db.transact((tx) => noteMachineRemoved(tx, id));
}

export function gone(error: unknown): void {
  if (!isAppError(error, 'not_found')) throw error;
}
