import { assert } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import type { Tx } from '../../platform/db.ts';
import { tell } from './facts.ts';
import { ENDS } from './interaction.ts';
import { endPending } from './interaction-store.ts';
import { REMOVE } from './job-names.ts';
import { settle } from './money.ts';
import { hasEnded, mayBecome, type Ending, type Session, type SessionId } from './session.ts';
import { lockSession, writeEnd } from './session-store.ts';
import type { EnvironmentsWorld } from './world.ts';

/**
 * Ends a session: state, money, commands under way, fact, and the removal of its machine, all or nothing. Answers
 * undefined and changes nothing where it had ended, or where `only` is not its state.
 */
export async function end(
  { ledger, jobs }: Pick<EnvironmentsWorld, 'ledger' | 'jobs'>,
  tx: Tx,
  op: Op,
  id: SessionId,
  ending: Ending,
  only?: Session['state'],
): Promise<Session | undefined> {
  const session = await lockSession(tx, id);
  if (!session || hasEnded(session) || (only !== undefined && session.state !== only)) return undefined;
  assert(mayBecome(session.state, ending.state), `a ${session.state} session cannot become ${ending.state}`);
  // Nobody pays for the time between the end of a session's time and the moment in which it is noticed.
  const at = earliest(op.now, session.expiresAt, ending.until ?? op.now);
  const settled = session.meter.runningSince ? await settle(ledger, tx, op, session, at) : session;
  await writeEnd(tx, settled, { state: ending.state, at, error: ending.error });
  await endPending(tx, id, ENDS.sessionOver(), op.now);
  await jobs.enqueue(tx, REMOVE, { sessionId: id });
  await tell(tx, op, 'session.ended', session, { state: ending.state, reason: ending.error?.code ?? null });
  return { ...settled, state: ending.state, endedAt: at, error: ending.error };
}

const earliest = (...times: Date[]): Date => new Date(Math.min(...times.map((time) => time.getTime())));
