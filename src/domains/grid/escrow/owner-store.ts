import type { AccountId, NodeId } from '../../../kernel/ids.ts';
import type { Db } from '../../../platform/db.ts';

/** Whose nodes are. */
export type Owners = Map<NodeId, AccountId>;

export async function ownersOf(db: Db, nodes: readonly NodeId[]): Promise<Owners> {
  const rows = await db.query<{ id: NodeId; account_id: AccountId }>(
    `select id, account_id from grid_nodes where id = any ($1)`,
    [nodes],
  );
  return new Map(rows.map((row) => [row.id, row.account_id]));
}
