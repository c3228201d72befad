import type { AccountId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { Database, Db } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import { findLimits, putLimits } from './limit-store.ts';
import { MAX_SERVERS, type Offer } from './server.ts';

/** How many servers an account may have at a time, of each offer. */
export type ServerLimits = Record<Offer, number>;

/** More are not for one account of one host. */
export const HIGHEST_LIMIT = 1_000;

/** What holds for an account: what the operator has set, else what holds for everybody. */
export async function limitsFor(db: Db, accountId: AccountId): Promise<ServerLimits> {
  const { hourly = MAX_SERVERS.hourly, monthly = MAX_SERVERS.monthly } = await findLimits(db, accountId);
  return { hourly, monthly };
}

/**
 * Sets what an account may have, in place of what was set before; what is left out is what holds for everybody. What it
 * has already stays.
 */
export const setLimits = (
  db: Database,
  op: Op,
  accountId: AccountId,
  limits: Partial<ServerLimits>,
): Promise<ServerLimits> =>
  db.transact(async (tx) => {
    await putLimits(tx, accountId, limits);
    const now = await limitsFor(tx, accountId);
    await recordFact(tx, op, { type: 'account.limits_set', subject: accountId, accountId, data: now });
    return now;
  });
