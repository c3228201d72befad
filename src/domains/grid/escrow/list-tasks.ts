import type { NodeId } from '../../../kernel/ids.ts';
import type { Db } from '../../../platform/db.ts';
import { listTasks, type Listed, type Role } from './task-store.ts';

/** Tasks that one look at a node's list shows. */
const MAX_LISTED = 1_000;
/** Of what they were given and what came of it. One task may have as much as two requests can carry. */
const MAX_LISTED_BYTES = 8_000_000;
/** Read at once, so that no more than the largest of so many are in memory beyond what is shown. */
const BATCH = 20;

/** A node's tasks in one status, the oldest first: as many as one reply can bear, and one where there is one. */
export async function tasksOf(db: Db, node: NodeId, which: { status: string; role: Role }): Promise<Listed[]> {
  const listed: Listed[] = [];
  let [after, bytes] = [0n, 0];
  while (listed.length < MAX_LISTED) {
    const rows = await listTasks(db, node, { ...which, after, limit: BATCH });
    for (const row of rows) {
      bytes += row.bytes;
      if (bytes > MAX_LISTED_BYTES && listed.length > 0) return listed;
      listed.push(row.task);
      after = row.seq;
    }
    if (rows.length < BATCH) return listed;
  }
  return listed;
}
