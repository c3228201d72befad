import { AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import type { AccountOp, Op } from '../../kernel/op.ts';
import { after, MINUTE } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import { WATCHED_MS, type Topup } from './topup.ts';
import { wishForRescan, wishToWatch } from './watch-store.ts';

/** How often it is noted that an address was asked for. */
const NOTED_MS = MINUTE;

export const isOpen =
  (now: Date) =>
  ({ expiresAt }: Topup): boolean =>
    expiresAt > now;

/**
 * Notes that an account asks for its top-ups: who waits for a payment keeps the address watched, and one that rests is
 * watched again, with what it has missed. After its time it is for the operator to have it read for, so that no stranger
 * has a year of blocks read by one request.
 */
export async function noteAsked(db: Database, { now }: AccountOp, topups: readonly Topup[]): Promise<void> {
  const asked = topups.filter(
    ({ askedAt, expiresAt, rests }) => after(expiresAt, WATCHED_MS) > now && (rests || after(askedAt, NOTED_MS) <= now),
  );
  if (asked.length === 0) return;
  const ids = asked.map(({ id }) => id);
  await db.transact((tx) => wishToWatch(tx, ids, now));
}

/** Whose addresses are read for; those of everybody where nobody is named. */
export type RescanWish = { topupId?: string | undefined; accountId?: string | undefined };

export async function rescan(db: Database, op: Op, wish: RescanWish): Promise<number> {
  const topupId = wish.topupId === undefined ? undefined : parseId('topup', wish.topupId);
  const accountId = wish.accountId === undefined ? undefined : parseId('account', wish.accountId);
  const isNamedWrong = (wish.topupId !== undefined && !topupId) || (wish.accountId !== undefined && !accountId);
  if (isNamedWrong) throw new AppError('not_found', 'Top-up not found');
  return db.transact(async (tx) => {
    const addresses = await wishForRescan(tx, { topupId, accountId }, op.now);
    if (addresses === 0 && (topupId || accountId)) throw new AppError('not_found', 'Top-up not found');
    await recordFact(tx, op, {
      type: 'topups.rescanned',
      subject: topupId ?? accountId ?? 'topups',
      ...(accountId && { accountId }),
      data: { addresses },
    });
    return addresses;
  });
}
