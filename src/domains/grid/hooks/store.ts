import type { AccountId, NodeId } from '../../../kernel/ids.ts';
import type { Db } from '../../../platform/db.ts';

export async function accountsOf(db: Db, ids: readonly NodeId[]): Promise<Map<NodeId, AccountId>> {
  const rows = await db.query<{ id: NodeId; account_id: AccountId }>(
    `select id, account_id from grid_nodes where id = any($1)`,
    [ids],
  );
  return new Map(rows.map(({ id, account_id }) => [id, account_id]));
}
