import { AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import type { AccountOp } from '../../kernel/op.ts';
import type { Db } from '../../platform/db.ts';
import type { Interaction } from './interaction.ts';
import { findInteraction } from './interaction-store.ts';
import type { Session } from './session.ts';
import { findSession } from './session-store.ts';
import type { Verification } from './verification.ts';
import { findVerification } from './verification-store.ts';

/** A session is its account's alone. What is not the caller's does not exist for the caller. */
export async function ownSession(db: Db, op: AccountOp, id: string): Promise<Session> {
  const sessionId = parseId('session', id);
  const session = sessionId && (await findSession(db, sessionId));
  if (!session || session.accountId !== op.actor.accountId) throw new AppError('not_found', 'Session not found');
  return session;
}

/** One of the caller's sessions that takes commands. */
export async function readySession(db: Db, op: AccountOp, id: string): Promise<Session> {
  const session = await ownSession(db, op, id);
  checkReady(session);
  return session;
}

export function checkReady({ state }: Pick<Session, 'state'>): void {
  if (state === 'creating') throw new AppError('conflict', 'The session is not ready yet');
  if (state !== 'ready') throw new AppError('conflict', `The session is over: ${state}`);
}

export async function ownInteraction(db: Db, op: AccountOp, sessionId: string, id: string): Promise<Interaction> {
  const session = await ownSession(db, op, sessionId);
  const interactionId = parseId('interaction', id);
  const interaction = interactionId && (await findInteraction(db, interactionId));
  if (interaction?.sessionId !== session.id) throw new AppError('not_found', 'Interaction not found');
  return interaction;
}

export async function ownVerification(
  db: Db,
  op: AccountOp,
  sessionId: string,
  id: string,
): Promise<{ session: Session; verification: Verification }> {
  const session = await ownSession(db, op, sessionId);
  const verificationId = parseId('verification', id);
  const verification = verificationId && (await findVerification(db, verificationId));
  if (verification?.sessionId !== session.id) throw new AppError('not_found', 'Verification job not found');
  return { session, verification };
}
