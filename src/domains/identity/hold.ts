import { AppError } from '../../kernel/errors.ts';
import type { AccountId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { Database } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import { findHold, putHold, removeHold } from './hold-store.ts';
import { findAccount } from './store.ts';

/** The operator suspects abuse: the account may look, and do nothing. */
export type AccountHold = { accountId: AccountId; reason: string; heldAt: Date };

export const MAX_HOLD_REASON_LENGTH = 500;

/** Suspends an account; once more, with another reason. Throws `not_found`. */
export async function holdAccount(db: Database, op: Op, accountId: AccountId, reason: string): Promise<AccountHold> {
  return await db.transact(async (tx) => {
    if (!(await findAccount(tx, accountId))) throw new AppError('not_found', 'Account not found');
    const before = await findHold(tx, accountId);
    const hold = { accountId, reason, heldAt: before?.heldAt ?? op.now };
    await putHold(tx, hold);
    if (!before) await recordFact(tx, op, { type: 'account.held', subject: accountId, accountId, data: { reason } });
    return hold;
  });
}

/** Throws `not_found` where it is not suspended. */
export async function releaseAccount(db: Database, op: Op, accountId: AccountId): Promise<void> {
  await db.transact(async (tx) => {
    if (!(await removeHold(tx, accountId))) throw new AppError('not_found', 'This account is not suspended');
    await recordFact(tx, op, { type: 'account.released', subject: accountId, accountId, data: {} });
  });
}
