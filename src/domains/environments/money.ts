import { isAppError } from '../../kernel/errors.ts';
import { uuidFrom, type TransferId } from '../../kernel/ids.ts';
import { usd, type Usd } from '../../kernel/money.ts';
import type { Op } from '../../kernel/op.ts';
import { sha256 } from '../../platform/crypto.ts';
import type { Tx } from '../../platform/db.ts';
import { paidUntil, REVENUE, settleMeter, wallet, type Ledger, type MeterStep } from '../ledger/index.ts';
import type { Session } from './session.ts';

/** Takes or gives back what a step of the meter costs. Throws `unaffordable` where it is not there. */
export async function pay(
  ledger: Ledger,
  tx: Tx,
  op: Op,
  session: Session,
  { meter, owed }: MeterStep,
): Promise<Session> {
  if (owed === 0n) return { ...session, meter };
  const until = paidUntil(meter) ?? op.now;
  const what = owed > 0n ? `paid until ${spoken(until)}` : 'unused time given back';
  await ledger.transfer(tx, op, {
    id: uuidFrom(sha256(`session ${session.id} transfer ${session.transfers}`)) as TransferId,
    type: owed > 0n ? 'session_charge' : 'session_refund',
    description: `Session ${session.id}, ${session.sampleId}: ${what}`,
    metadata: { session_id: session.id, dataset: session.dataset, sample_id: session.sampleId },
    legs: [
      { account: wallet(session.accountId, 'USD'), amount: usd(-owed) },
      { account: REVENUE, amount: owed },
    ],
  });
  return { ...session, meter, transfers: session.transfers + 1, spent: usd(session.spent + owed) };
}

/** `2026-03-13 12:01:00 UTC` */
const spoken = (at: Date): string => `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/**
 * Ends what is paid by the second and settles it. Where it ran on unpaid because nobody looked, and the money for that
 * is not there, what there is is taken: a wallet is never below zero.
 */
export async function settle(ledger: Ledger, tx: Tx, op: Op, session: Session, until: Date): Promise<Session> {
  const step = settleMeter(session.meter, until);
  try {
    return await pay(ledger, tx, op, session, step);
  } catch (error) {
    if (!isAppError(error, 'unaffordable')) throw error;
  }
  const owed = await available(ledger, tx, session);
  return pay(ledger, tx, op, session, { ...step, owed: owed < step.owed ? owed : step.owed });
}

export const available = async (ledger: Ledger, tx: Tx, { accountId }: Pick<Session, 'accountId'>): Promise<Usd> =>
  (await ledger.balance(tx, wallet(accountId, 'USD'))).available;
