import { isAppError } from '../../kernel/errors.ts';
import { uuidFrom, type TransferId } from '../../kernel/ids.ts';
import { usd, type Usd } from '../../kernel/money.ts';
import type { Op } from '../../kernel/op.ts';
import { SECOND } from '../../kernel/time.ts';
import { sha256 } from '../../platform/crypto.ts';
import type { Tx } from '../../platform/db.ts';
import {
  paidUntil,
  REVENUE,
  settleMeter as settle,
  wallet,
  type Ledger,
  type MeterStep as Step,
} from '../ledger/index.ts';
import type { Kept } from './kept.ts';
import { shortId } from './sandbox.ts';

/** Takes or gives back what a step of the meter costs. Throws `unaffordable` where it is not there. */
export async function pay(ledger: Ledger, tx: Tx, op: Op, kept: Kept, { meter, owed }: Step): Promise<Kept> {
  if (owed === 0n) return { ...kept, meter };
  const [from, until] = [paidUntil(kept.meter) ?? meter.runningSince, paidUntil(meter)];
  const what = owed > 0n ? `paid until ${spoken(until ?? op.now)}` : 'unused time given back';
  await ledger.transfer(tx, op, {
    id: uuidFrom(sha256(`sandbox ${kept.id} transfer ${kept.transfers}`)) as TransferId,
    type: owed > 0n ? 'sandbox_charge' : 'sandbox_refund',
    description: `Sandbox ${kept.name ? `${kept.name} (${shortId(kept)})` : shortId(kept)}, ${kept.size}: ${what}`,
    metadata: {
      sandbox_id: kept.id,
      size: kept.size,
      paid_seconds_before: secondsOf(kept.meter.paidMs),
      paid_seconds_after: secondsOf(meter.paidMs),
      ...(from && until && { from: from.toISOString(), until: until.toISOString() }),
    },
    legs: [
      { account: wallet(kept.accountId, 'USD'), amount: usd(-owed) },
      { account: REVENUE, amount: owed },
    ],
  });
  return { ...kept, meter, transfers: kept.transfers + 1 };
}

const secondsOf = (milliseconds: number): number => Math.ceil(milliseconds / SECOND);
/** `2026-03-13 12:01:00 UTC` */
const spoken = (at: Date): string => `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/**
 * Ends a run at a time and settles it. Where it ran on unpaid because nobody looked, and the money for that is not
 * there, what there is is taken: a wallet is never below zero.
 */
export async function settleRun(ledger: Ledger, tx: Tx, op: Op, kept: Kept, until: Date): Promise<Kept> {
  const step = settle(kept.meter, until);
  try {
    return await pay(ledger, tx, op, kept, step);
  } catch (error) {
    if (!isAppError(error, 'unaffordable')) throw error;
  }
  const owed = await available(ledger, tx, kept);
  return pay(ledger, tx, op, kept, { ...step, owed: owed < step.owed ? owed : step.owed });
}

export const available = async (ledger: Ledger, tx: Tx, { accountId }: Pick<Kept, 'accountId'>): Promise<Usd> =>
  (await ledger.balance(tx, wallet(accountId, 'USD'))).available;
