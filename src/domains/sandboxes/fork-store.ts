import type { AccountId, SnapshotId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';

export async function noteFork(tx: Tx, snapshotId: SnapshotId, accountId: AccountId): Promise<void> {
  await tx.query(`insert into sandbox_forks (snapshot_id, account_id) values ($1, $2) on conflict do nothing`, [
    snapshotId,
    accountId,
  ]);
}

export async function forgetFork(tx: Tx, snapshotId: SnapshotId): Promise<void> {
  await tx.query(`delete from sandbox_forks where snapshot_id = $1`, [snapshotId]);
}

/** Snapshots of forks that nobody is at any more, by the database's clock. */
export async function abandonedForks(db: Db, olderThanMs: number, limit: number): Promise<SnapshotId[]> {
  const rows = await db.query<{ snapshot_id: SnapshotId }>(
    `select snapshot_id from sandbox_forks
      where touched_at < clock_timestamp() - $1 * interval '1 millisecond' order by touched_at limit $2`,
    [olderThanMs, limit],
  );
  return rows.map(({ snapshot_id: id }) => id);
}
