import type { AccountId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { AccountHold } from './hold.ts';

type HoldRow = { account_id: AccountId; reason: string; held_at: Date };

export const findHold = async (db: Db, accountId: AccountId): Promise<AccountHold | undefined> =>
  (await db.query<HoldRow>(`select * from account_holds where account_id = $1`, [accountId])).map((row) => ({
    accountId: row.account_id,
    reason: row.reason,
    heldAt: row.held_at,
  }))[0];

/** In place of an earlier one. */
export async function putHold(tx: Tx, { accountId, reason, heldAt }: AccountHold): Promise<void> {
  await tx.query(
    `insert into account_holds (account_id, reason, held_at) values ($1, $2, $3)
     on conflict (account_id) do update set reason = excluded.reason`,
    [accountId, reason, heldAt],
  );
}

/** False where there was none. */
export async function removeHold(tx: Tx, accountId: AccountId): Promise<boolean> {
  const rows = await tx.query(`delete from account_holds where account_id = $1 returning account_id`, [accountId]);
  return rows.length > 0;
}
