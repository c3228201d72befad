import type { AccountId, NodeId } from '../../../kernel/ids.ts';
import type { Db } from '../../../platform/db.ts';
import { accountsOf } from './store.ts';

export type Hooks = ReturnType<typeof createHooks>;

/** Who is told of what happens on the grid: nodes are told at the endpoints of their accounts. */
export function createHooks() {
  return {
    /** The account of each of these nodes; one that is not there is not in it. */
    accountsOf: (db: Db, ids: readonly NodeId[]): Promise<Map<NodeId, AccountId>> => accountsOf(db, ids),
  };
}
