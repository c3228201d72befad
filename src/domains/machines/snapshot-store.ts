import type { AccountId, MachineId, SnapshotId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { CopyName } from './drivers/driver.ts';
import type { NewSnapshot, Snapshot, SnapshotFilter } from './snapshot.ts';

type SnapshotRow = {
  id: SnapshotId;
  account_id: AccountId;
  machine_id: MachineId;
  place: string;
  name: string | null;
  copy: CopyName;
  host_start: string | null;
  image: string;
  vcpus: number;
  memory_mb: number;
  disk_gb: number;
  pids: number;
  created_at: Date;
  bytes: bigint | null;
  reserved: boolean;
};

/** Whoever takes one says again and again that he does; by the database's own clock, because the platform's can be moved. */
const TAKING_UNTIL = `clock_timestamp() + interval '30 seconds'`;

const present = (row: SnapshotRow): Snapshot => ({
  id: row.id,
  accountId: row.account_id,
  machineId: row.machine_id,
  name: row.name ?? undefined,
  copy: row.copy,
  place: row.place,
  hostStart: row.host_start ?? undefined,
  image: row.image,
  limits: { vcpus: row.vcpus, memoryMb: row.memory_mb, diskGb: row.disk_gb, pids: row.pids },
  bytes: Number(row.bytes ?? 0n),
  reserved: row.reserved,
  createdAt: row.created_at,
});

/** Whole ones only: one that is being taken is none yet. */
export const findSnapshot = async (db: Db, id: SnapshotId): Promise<Snapshot | undefined> =>
  (await db.query<SnapshotRow>(`select * from machine_snapshots where id = $1 and bytes is not null`, [id])).map(
    present,
  )[0];

/** One that is whole and kept at this place; it cannot be removed before the transaction ends. */
export const holdSnapshot = async (tx: Tx, id: SnapshotId, place: string): Promise<Snapshot | undefined> =>
  (
    await tx.query<SnapshotRow>(
      `select * from machine_snapshots where id = $1 and place = $2 and bytes is not null for share`,
      [id, place],
    )
  ).map(present)[0];

/** Newest first, one more than asked for. */
export const newestSnapshots = async (
  db: Db,
  accountId: AccountId | undefined,
  { name, machineId, limit, after }: SnapshotFilter,
): Promise<Snapshot[]> =>
  (
    await db.query<SnapshotRow>(
      `select * from machine_snapshots
        where bytes is not null
          and ($1::uuid is null or account_id = $1)
          and ($2::text is null or name = $2)
          and ($3::text is null or machine_id = $3)
          and not reserved
          and ($4::timestamptz is null or (created_at, id) < ($4, $5))
        order by created_at desc, id desc limit $6`,
      [accountId ?? null, name ?? null, machineId ?? null, after?.createdAt ?? null, after?.id ?? null, limit + 1],
    )
  ).map(present);

/** Lets one transaction at a time decide whether an account may have one more, until it ends. */
export async function countSnapshots(tx: Tx, accountId: AccountId): Promise<{ count: number; bytes: number }> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('snapshots of ' || $1, 0))`, [accountId]);
  const [row] = await tx.query<{ count: number; bytes: number }>(
    `select count(*)::integer as count, coalesce(sum(coalesce(bytes, expected_bytes)), 0)::double precision as bytes
       from machine_snapshots where account_id = $1 and not reserved`,
    [accountId],
  );
  return row ?? { count: 0, bytes: 0 };
}

/** Writes down that it is being taken. False where its id is taken. */
export async function insertSnapshot(
  tx: Tx,
  snapshot: NewSnapshot & { expectedBytes: number },
  { place, hostStart }: { place: string; hostStart: string },
): Promise<boolean> {
  const { id, accountId, machineId, name, copy, image, limits, createdAt, reserved, expectedBytes } = snapshot;
  const rows = await tx.query(
    `insert into machine_snapshots (id, account_id, machine_id, place, name, copy, image, vcpus, memory_mb, disk_gb,
                                    pids, created_at, reserved, expected_bytes, host_start, taking_until)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, ${TAKING_UNTIL})
     on conflict (id) do nothing returning id`,
    [
      id,
      accountId,
      machineId,
      place,
      name ?? null,
      copy,
      image,
      limits.vcpus,
      limits.memoryMb,
      limits.diskGb,
      limits.pids,
      createdAt,
      reserved,
      Math.round(expectedBytes),
      hostStart,
    ],
  );
  return rows.length === 1;
}

/** One taking of a snapshot; another may have been begun after it was taken for dead. */
export type Taking = Pick<Snapshot, 'id' | 'copy'>;

export async function stayTaking(tx: Tx, { id, copy }: Taking): Promise<void> {
  await tx.query(
    `update machine_snapshots set taking_until = ${TAKING_UNTIL} where id = $1 and copy = $2 and bytes is null`,
    [id, copy],
  );
}

/** Undefined where it was given up meanwhile. */
export const markTaken = async (tx: Tx, { id, copy }: Taking, bytes: number): Promise<Snapshot | undefined> =>
  (
    await tx.query<SnapshotRow>(
      `update machine_snapshots set bytes = $3, taking_until = null
        where id = $1 and copy = $2 and bytes is null
        returning *`,
      [id, copy, Math.round(bytes)],
    )
  ).map(present)[0];

export const deleteSnapshot = async (tx: Tx, { id, copy }: Taking): Promise<Snapshot | undefined> =>
  (
    await tx.query<SnapshotRow>(
      `delete from machine_snapshots where id = $1 and copy = $2 and bytes is not null returning *`,
      [id, copy],
    )
  ).map(present)[0];

/** Forgets one that was not taken. */
export async function giveUpSnapshot(tx: Tx, { id, copy }: Taking): Promise<void> {
  await tx.query(`delete from machine_snapshots where id = $1 and copy = $2 and bytes is null`, [id, copy]);
}

/** Forgets those whose taker died. */
export async function giveUpLeftSnapshots(tx: Tx, place: string): Promise<void> {
  await tx.query(`delete from machine_snapshots where place = $1 and taking_until < clock_timestamp()`, [place]);
}

export const knownCopies = async (db: Db, place: string): Promise<CopyName[]> =>
  (await db.query<{ copy: CopyName }>(`select copy from machine_snapshots where place = $1`, [place])).map(
    ({ copy }) => copy,
  );
