import type { AccountId, NodeId } from '../../../kernel/ids.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import type { Share, Trade } from './sandbox.ts';

/** Sandbox nodes that were made before a time and still act, the oldest first. */
export async function sandboxNodesBefore(db: Db, before: Date, limit: number): Promise<NodeId[]> {
  const rows = await db.query<{ id: NodeId }>(
    `select id from grid_nodes where sandbox and active and created_at <= $1 order by created_at limit $2`,
    [before, limit],
  );
  return rows.map(({ id }) => id);
}

/** Ends a node, which from then on spends nothing. Undefined where another process was first. */
export async function retireNode(tx: Tx, id: NodeId): Promise<AccountId | undefined> {
  const [row] = await tx.query<{ account_id: AccountId }>(
    `update grid_nodes set active = false where id = $1 and active returning account_id`,
    [id],
  );
  return row?.account_id;
}

/** False where the name is taken. */
export async function insertShare(tx: Tx, { id, trade, createdAt }: Share): Promise<boolean> {
  const rows = await tx.query(
    `insert into grid_shares (id, trade, created_at) values ($1, $2, $3) on conflict do nothing returning 1`,
    [id, JSON.stringify(trade), createdAt],
  );
  return rows.length > 0;
}

export async function findShare(db: Db, id: string): Promise<Share | undefined> {
  const [row] = await db.query<{ id: string; trade: Trade; created_at: Date }>(
    `select id, trade, created_at from grid_shares where id = $1`,
    [id],
  );
  return row && { id: row.id, trade: row.trade, createdAt: row.created_at };
}

/** Forgets what was shown before a time, the oldest first; answers how many. */
export async function forgetShares(tx: Tx, before: Date, limit: number): Promise<number> {
  const rows = await tx.query(
    `delete from grid_shares where id in (select id from grid_shares where created_at < $1 order by created_at limit $2)
     returning 1`,
    [before, limit],
  );
  return rows.length;
}
