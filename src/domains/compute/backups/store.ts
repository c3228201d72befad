import type { AccountId, BackupId, ServerId, SnapshotId } from '../../../kernel/ids.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import type { PlanId, RegionId } from '../catalogue.ts';
import { claimable } from '../claim-store.ts';
import type { Backup, BackupContent, BackupState } from './backup.ts';

type BackupRow = {
  id: BackupId;
  account_id: AccountId;
  server_id: ServerId;
  label: string;
  plan: PlanId;
  region: RegionId;
  scheduled: boolean;
  state: BackupState;
  failure: string | null;
  attempts: number;
  waiting_since: Date | null;
  waiting_for: string | null;
  created_at: Date;
  expires_at: Date;
  ended_at: Date | null;
  snapshot_id: SnapshotId | null;
  blob_key: string | null;
  image: string | null;
  limits: BackupContent['limits'] | null;
  disk_bytes: bigint | null;
  bytes: bigint | null;
  sha256: Buffer | null;
};

function contentOf(row: BackupRow): BackupContent | undefined {
  const { image, limits, sha256 } = row;
  if (image === null || limits === null || sha256 === null) return undefined;
  return { image, limits, diskBytes: Number(row.disk_bytes), bytes: Number(row.bytes), sha256 };
}

const waitingOf = ({ waiting_since: since, waiting_for: reason }: BackupRow): Backup['waiting'] =>
  since !== null && reason !== null ? { since, reason } : undefined;

const backupOf = (row: BackupRow): Backup => ({
  id: row.id,
  accountId: row.account_id,
  serverId: row.server_id,
  label: row.label,
  plan: row.plan,
  region: row.region,
  scheduled: row.scheduled,
  state: row.state,
  failure: row.failure ?? undefined,
  attempts: row.attempts,
  waiting: waitingOf(row),
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  endedAt: row.ended_at ?? undefined,
  snapshotId: row.snapshot_id ?? undefined,
  blobKey: row.blob_key ?? undefined,
  content: contentOf(row),
});

const only = ([row]: BackupRow[]): Backup | undefined => row && backupOf(row);

export const findBackup = async (db: Db, id: BackupId): Promise<Backup | undefined> =>
  only(await db.query<BackupRow>(`select * from backups where id = $1`, [id]));

/** Locks the row, so that what is decided about the backup still holds when it is saved. */
export const lockBackup = async (tx: Tx, id: BackupId): Promise<Backup | undefined> =>
  only(await tx.query<BackupRow>(`select * from backups where id = $1 for update`, [id]));

/** Newest first; those that expired before a moment are left out. */
export const backupsOf = async (db: Db, accountId: AccountId, expiredSince: Date): Promise<Backup[]> =>
  (
    await db.query<BackupRow>(
      `select * from backups
        where account_id = $1 and (state <> 'expired' or ended_at > $2)
        order by seq desc`,
      [accountId, expiredSince],
    )
  ).map(backupOf);

export const pendingBackupOf = async (db: Db, serverId: ServerId): Promise<Backup | undefined> =>
  only(await db.query<BackupRow>(`select * from backups where server_id = $1 and state = 'pending'`, [serverId]));

/** Lets one transaction at a time decide whether an account may have one more, until it ends. */
export async function countBackups(tx: Tx, accountId: AccountId): Promise<number> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('backups of ' || $1, 0))`, [accountId]);
  const [row] = await tx.query<{ count: number }>(
    `select count(*)::integer as count from backups where account_id = $1 and state <> 'expired'`,
    [accountId],
  );
  return row?.count ?? 0;
}

export async function insertBackup(tx: Tx, backup: Backup): Promise<void> {
  await tx.query(
    `insert into backups (id, account_id, server_id, label, plan, region, scheduled, state, created_at, expires_at,
                          snapshot_id)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [
      backup.id,
      backup.accountId,
      backup.serverId,
      backup.label,
      backup.plan,
      backup.region,
      backup.scheduled,
      backup.state,
      backup.createdAt,
      backup.expiresAt,
      backup.snapshotId ?? null,
    ],
  );
}

/** Saves all of it that ever changes. Only for a row that this transaction has locked. */
export async function saveBackup(tx: Tx, backup: Backup): Promise<void> {
  await tx.query(
    `update backups
        set state = $2, failure = $3, attempts = $4, ended_at = $5, snapshot_id = $6, blob_key = $7, image = $8,
            limits = $9, disk_bytes = $10, bytes = $11, sha256 = $12, waiting_since = $13, waiting_for = $14,
            touched_at = clock_timestamp()
      where id = $1`,
    [
      backup.id,
      backup.state,
      backup.failure ?? null,
      backup.attempts,
      backup.endedAt ?? null,
      backup.snapshotId ?? null,
      backup.blobKey ?? null,
      ...columnsOf(backup.content),
      backup.waiting?.since ?? null,
      backup.waiting?.reason ?? null,
    ],
  );
}

const columnsOf = (content: BackupContent | undefined): unknown[] =>
  content
    ? [content.image, JSON.stringify(content.limits), content.diskBytes, content.bytes, content.sha256]
    : [null, null, null, null, null];

export const expiredBackups = async (db: Db, now: Date, limit: number): Promise<BackupId[]> =>
  (
    await db.query<{ id: BackupId }>(
      `select id from backups where state <> 'expired' and expires_at <= $1 order by expires_at limit $2`,
      [now, limit],
    )
  ).map(({ id }) => id);

/** Those that a server's schedule had made, without the newest ones. */
export const surplusOf = async (tx: Tx, serverId: ServerId, keep: number): Promise<BackupId[]> =>
  (
    await tx.query<{ id: BackupId }>(
      `select id from backups where server_id = $1 and scheduled and state = 'available' order by seq desc offset $2`,
      [serverId, keep],
    )
  ).map(({ id }) => id);

/** Nothing is left of them anywhere, and nobody is shown them any more. */
export async function forgetBackups(tx: Tx, endedBefore: Date, limit: number): Promise<number> {
  const rows = await tx.query(
    `delete from backups
      where id in (select id from backups
                    where state = 'expired' and ended_at <= $1 and snapshot_id is null and blob_key is null
                    limit $2
                      for update skip locked)
      returning id`,
    [endedBefore, limit],
  );
  return rows.length;
}

/** Whether a server is being made that begins with it. */
export async function isBeingRestored(db: Db, id: BackupId): Promise<boolean> {
  const rows = await db.query(`select from servers where restored_from = $1 and state = 'provisioning' limit 1`, [id]);
  return rows.length > 0;
}

/** Between two looks for room. */
const REST = `interval '30 seconds'`;

/** Backups that are to be made, or of which something is to be removed; what waits for room is left alone for a while. */
export const unsettledBackups = claimable<BackupId, Backup>(
  {
    table: 'backups',
    unsettled: `(state = 'pending' or snapshot_id is not null
                 or (state in ('error', 'expired') and blob_key is not null))`,
    rested: `(waiting_since is null or state <> 'pending' or touched_at < clock_timestamp() - ${REST})`,
  },
  async (tx, query, values) => only(await tx.query<BackupRow>(query, values)),
);

/** The same backup, locked, for who has it. Undefined where another has taken it over. */
export const lockClaimed = async (tx: Tx, id: BackupId, claim: string): Promise<Backup | undefined> =>
  only(await tx.query<BackupRow>(`select * from backups where id = $1 and claim = $2 for update`, [id, claim]));
