import type { NodeId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { DAY, after } from '../../../kernel/time.ts';
import { standings } from '../escrow/standing-store.ts';
import { findNodes } from '../nodes/store.ts';
import type { GridWorld } from '../world.ts';
import { criOf } from './cri.ts';
import { claimRefresh, keepCri, nodesToRefresh } from './store.ts';

/** Age and decay go by days. */
const LASTS = DAY;
const BATCH = 100;

/** Computes the index of nodes about which something has happened, and of all once a day; answers of how many. */
export async function refreshDue({ db }: GridWorld, op: Op): Promise<number> {
  const due = await nodesToRefresh(db, after(op.now, -LASTS), BATCH);
  if (due.length === 0) return 0;
  return db.transact(async (tx) => {
    const claimed: NodeId[] = await claimRefresh(tx, due, op.now);
    const [nodes, all] = [await findNodes(tx, claimed), await standings(tx, claimed)];
    for (const node of nodes) {
      const standing = all.get(node.id);
      if (standing) await keepCri(tx, node.id, criOf(node, standing, op.now).score);
    }
    return claimed.length;
  });
}
