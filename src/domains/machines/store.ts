import type { AccountId, MachineId, SnapshotId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { NetworkMode, Room, Tier } from './drivers/driver.ts';
import { MAY_BECOME, type EndReason, type Machine, type MachineState } from './machine.ts';
import type { EgressRules } from './rules.ts';

/** A row as it stands in the table. */
export type MachineRow = {
  id: MachineId;
  account_id: AccountId;
  purpose: string;
  place: string;
  driver: string;
  tier: Tier;
  runtime: string;
  state: MachineState;
  state_at: Date;
  image: string;
  vcpus: number;
  memory_mb: number;
  disk_gb: number;
  pids: number;
  network: NetworkMode;
  rules: EgressRules;
  snapshot_id: SnapshotId | null;
  hostname: string | null;
  standing: boolean;
  address: string | null;
  lease_until: Date;
  lease_left_ms: bigint | null;
  created_at: Date;
  started_at: Date | null;
  ended_at: Date | null;
  end_reason: EndReason | null;
  cpu_seconds: number | null;
  ran_ms: bigint;
  running_since: Date | null;
  cpu_seconds_before: number;
  network_received_before: number;
  network_sent_before: number;
  frozen_mb: number | null;
  held_back: boolean;
};

export const presentMachine = (row: MachineRow): Machine => ({
  id: row.id,
  accountId: row.account_id,
  purpose: row.purpose,
  place: row.place,
  driver: row.driver,
  tier: row.tier,
  runtime: row.runtime,
  state: row.state,
  stateAt: row.state_at,
  image: row.image,
  limits: { vcpus: row.vcpus, memoryMb: row.memory_mb, diskGb: row.disk_gb, pids: row.pids },
  network: row.network,
  rules: row.rules,
  snapshotId: row.snapshot_id ?? undefined,
  standing: row.hostname === null ? undefined : { hostname: row.hostname, address: row.address ?? undefined },
  leaseUntil: row.lease_until,
  leaseLeftMs: row.lease_left_ms === null ? undefined : Number(row.lease_left_ms),
  createdAt: row.created_at,
  startedAt: row.started_at ?? undefined,
  endedAt: row.ended_at ?? undefined,
  endReason: row.end_reason ?? undefined,
  cpuSeconds: row.cpu_seconds ?? undefined,
  ranMs: Number(row.ran_ms),
  runningSince: row.running_since ?? undefined,
  usedBefore: {
    cpuSeconds: row.cpu_seconds_before,
    networkReceivedBytes: row.network_received_before,
    networkSentBytes: row.network_sent_before,
  },
  frozenMb: row.frozen_mb ?? undefined,
  heldBack: row.held_back,
});

const GIB = 2 ** 30;
/** Milliseconds from `running_since` to the time `$2`; 0 where it does not run. */
export const SINCE_RUNNING = `coalesce(greatest(0, extract(epoch from $2::timestamptz - running_since) * 1000)::bigint, 0)`;
/** A machine that rests keeps what is left of its lease beside it. */
const LEFT = `case when state in ('paused', 'stopped') then $3::bigint end`;
const HAS_LEASE = ['creating', 'running', 'paused', 'stopped'] as const satisfies readonly MachineState[];

export const only = (rows: MachineRow[]): Machine | undefined => (rows[0] ? presentMachine(rows[0]) : undefined);

export const findMachine = async (db: Db, id: MachineId): Promise<Machine | undefined> =>
  only(await db.query<MachineRow>(`select * from machines where id = $1`, [id]));

export const findMachines = async (db: Db, ids: readonly MachineId[]): Promise<Machine[]> =>
  (await db.query<MachineRow>(`select * from machines where id = any($1)`, [ids])).map(presentMachine);

/** What machines that are up may reach. */
export async function rulesOfRunning(db: Db, ids: readonly MachineId[]): Promise<Map<MachineId, EgressRules>> {
  const rows = await db.query<{ id: MachineId; rules: EgressRules }>(
    `select id, rules from machines where id = any($1) and state in ('running', 'paused')`,
    [ids],
  );
  return new Map(rows.map(({ id, rules }) => [id, rules]));
}

/** Machines that are not destroyed, oldest first. */
export const aliveMachines = async (db: Db, place: string): Promise<Machine[]> =>
  (
    await db.query<MachineRow>(
      `select * from machines where place = $1 and state <> 'destroyed' order by created_at, id`,
      [place],
    )
  ).map(presentMachine);

type Taken = Room & {
  machines: number;
  /** What is held by those that are frozen. */
  frozenMb: number;
  /** What is being copied right now and may not be there yet. */
  copiedGb: number;
};

/**
 * What the living machines of a place may use together. One that is frozen uses what it holds and no more, a stopped
 * one is a disk only; what snapshots fill is not free, and so counts already.
 */
export async function roomTaken(tx: Tx, place: string): Promise<Taken> {
  const [row] = await tx.query<Record<'machines' | 'memory_mb' | 'frozen_mb' | 'disk_gb' | 'copied_gb', number>>(
    `select count(*)::integer as machines,
            coalesce(sum(memory_mb) filter (where state not in ('paused', 'stopped')), 0)::double precision as memory_mb,
            coalesce(sum(coalesce(frozen_mb, memory_mb)) filter (where state = 'paused'), 0)::double precision
              as frozen_mb,
            coalesce(sum(disk_gb), 0)::double precision as disk_gb,
            (coalesce((select sum(expected_bytes) from machine_snapshots where place = $1 and bytes is null), 0)
              + coalesce(sum((select bytes from machine_snapshots where id = snapshot_id))
                           filter (where state = 'creating'), 0))::double precision / ${GIB} as copied_gb
       from machines where place = $1 and state <> 'destroyed'`,
    [place],
  );
  return {
    machines: row?.machines ?? 0,
    memoryMb: row?.memory_mb ?? 0,
    frozenMb: row?.frozen_mb ?? 0,
    diskGb: row?.disk_gb ?? 0,
    copiedGb: row?.copied_gb ?? 0,
  };
}

/** Those that wait for room on the disk, the longest first. */
export const heldBackMachines = async (db: Db, place: string): Promise<MachineId[]> =>
  (
    await db.query<{ id: MachineId }>(
      `select id from machines where place = $1 and held_back and state = 'paused' order by state_at, id`,
      [place],
    )
  ).map(({ id }) => id);

/** Whether it still waits for that, which nobody changes until the transaction ends. */
export async function lockHeldBack(tx: Tx, id: MachineId): Promise<boolean> {
  const rows = await tx.query(`select id from machines where id = $1 and held_back and state = 'paused' for update`, [
    id,
  ]);
  return rows.length === 1;
}

/** From now on it rests because its owner wants that. False where somebody is busy with it, or it rests no more. */
export async function noteWanted(tx: Tx, id: MachineId): Promise<boolean> {
  const rows = await tx.query(
    `update machines set held_back = false where id = $1 and state = 'paused' and busy_with is null returning id`,
    [id],
  );
  return rows.length === 1;
}

/** Lets one transaction at a time decide whether a place has room, until it ends. */
export async function lockRoom(tx: Tx, place: string): Promise<void> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('machines at ' || $1, 0))`, [place]);
}

/** Locks the row, so that what is decided about the machine still holds when it is written. */
export const lockMachine = async (tx: Tx, id: MachineId): Promise<Machine | undefined> =>
  only(await tx.query<MachineRow>(`select * from machines where id = $1 for update`, [id]));

export async function insertMachine(tx: Tx, machine: Machine): Promise<void> {
  const { limits } = machine;
  await tx.query(
    `insert into machines (id, account_id, purpose, place, driver, tier, runtime, state, state_at, image,
                           vcpus, memory_mb, disk_gb, pids, network, rules, snapshot_id, lease_until, created_at,
                           standing, hostname, address)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)`,
    [
      machine.id,
      machine.accountId,
      machine.purpose,
      machine.place,
      machine.driver,
      machine.tier,
      machine.runtime,
      machine.state,
      machine.stateAt,
      machine.image,
      limits.vcpus,
      limits.memoryMb,
      limits.diskGb,
      limits.pids,
      machine.network,
      JSON.stringify(machine.rules),
      machine.snapshotId ?? null,
      machine.leaseUntil,
      machine.createdAt,
      machine.standing !== undefined,
      machine.standing?.hostname ?? null,
      machine.standing?.address ?? null,
    ],
  );
}

/** Claims the making of a machine whose maker is gone. */
export async function restartCreation(tx: Tx, id: MachineId, at: Date, leaseUntil: Date): Promise<void> {
  await tx.query(`update machines set state_at = $2, lease_until = $3 where id = $1 and state = 'creating'`, [
    id,
    at,
    leaseUntil,
  ]);
}

/** Undefined where the machine has meanwhile left the attempt that began at `stateAt`. */
export const markReady = async (
  tx: Tx,
  id: MachineId,
  stateAt: Date,
  { state, at }: { state: 'running' | 'pooled'; at: Date },
): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(
      `update machines
          set state = $4, state_at = $3, started_at = $3, running_since = case when $4::text = 'running' then $3::timestamptz end
        where id = $1 and state = 'creating' and state_at = $2 returning *`,
      [id, stateAt, at, state],
    ),
  );

/** What a machine has used in all, as far as it could be told. */
export type Used = { cpuSeconds: number; networkReceivedBytes: number; networkSentBytes: number };
/** `ranUntil`: what it ran after that is not known, and not counted. */
export type Ending = { at: Date; ranUntil: Date; reason: EndReason; used: Used };

/** Undefined where it is already being destroyed, destroyed or unknown. */
export const markDestroying = async (
  tx: Tx,
  id: MachineId,
  ending: Ending,
  from: readonly MachineState[] = MAY_BECOME.destroying,
): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(
      `update machines
          set state = 'destroying', state_at = $8, end_reason = $3, cpu_seconds = $4,
              network_received_before = $5, network_sent_before = $6,
              ran_ms = ran_ms + ${SINCE_RUNNING}, running_since = null,
              busy_with = null, busy_token = null, busy_until = null
        where id = $1 and state = any($7) returning *`,
      [
        id,
        ending.ranUntil,
        ending.reason,
        ending.used.cpuSeconds,
        ending.used.networkReceivedBytes,
        ending.used.networkSentBytes,
        from,
        ending.at,
      ],
    ),
  );

export const markDestroyed = async (tx: Tx, id: MachineId, at: Date): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(
      `update machines set state = 'destroyed', state_at = $2, ended_at = $2, rules = rules - 'transforms' - 'proxy'
        where id = $1 and state = any($3) returning *`,
      [id, at, MAY_BECOME.destroyed],
    ),
  );

/** A lease only ever grows here, so that two who extend it do not shorten each other's. */
export const extendLease = async (tx: Tx, id: MachineId, until: Date, leftMs: number): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(
      `update machines set lease_until = greatest(lease_until, $2), lease_left_ms = greatest(lease_left_ms, ${LEFT})
        where id = $1 and state = any($4) returning *`,
      [id, until, leftMs, HAS_LEASE],
    ),
  );

export const setLease = async (tx: Tx, id: MachineId, until: Date, leftMs: number): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(
      `update machines set lease_until = $2, lease_left_ms = ${LEFT} where id = $1 and state = any($4) returning *`,
      [id, until, leftMs, HAS_LEASE],
    ),
  );
