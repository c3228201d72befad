import type { AccountId, MachineId, SandboxId } from '../../kernel/ids.ts';
import { usd } from '../../kernel/money.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { ListFilter } from './index.ts';
import type { Kept, Moving, NewKept } from './kept.ts';
import { OPEN_NETWORK } from './network.ts';
import { paidUntil } from '../ledger/index.ts';
import type { EndReason, Lifecycle, Network, Origin, PauseReason } from './sandbox.ts';

type SandboxRow = {
  id: SandboxId;
  seq: bigint;
  code: string;
  account_id: AccountId;
  machine_id: MachineId;
  name: string | null;
  origin: Origin;
  state: Kept['state'];
  moving: Moving | null;
  template: string;
  interpreter: boolean;
  vcpus: number;
  memory_mb: number;
  disk_gb: number;
  pids: number;
  metadata: Record<string, string>;
  env: Record<string, string>;
  lifecycle: Lifecycle;
  /** JSON has no undefined: what was not said is not there. */
  network: Pick<Network, 'allowOut' | 'denyOut' | 'publicTraffic'> & { internet?: boolean; maskRequestHost?: string };
  created_at: Date;
  started_at: Date | null;
  end_at: Date | null;
  timeout_ms: bigint | null;
  paused_at: Date | null;
  paused_by: PauseReason | null;
  kept_memory: boolean;
  ended_at: Date | null;
  end_reason: EndReason | null;
  machine_removed: boolean;
  lease_until: Date;
  size: string;
  hourly_micros: bigint;
  used_ms: bigint;
  paid_ms: bigint;
  running_since: Date | null;
  transfers: number;
};

const keptOf = (row: SandboxRow): Kept => ({
  id: row.id,
  seq: row.seq,
  code: row.code,
  accountId: row.account_id,
  machineId: row.machine_id,
  name: row.name ?? undefined,
  origin: row.origin,
  state: row.state,
  moving: row.moving ?? undefined,
  template: row.template,
  interpreter: row.interpreter,
  limits: { vcpus: row.vcpus, memoryMb: row.memory_mb, diskGb: row.disk_gb, pids: row.pids },
  metadata: row.metadata,
  env: row.env,
  lifecycle: row.lifecycle,
  network: { ...OPEN_NETWORK, ...row.network },
  createdAt: row.created_at,
  startedAt: row.started_at ?? undefined,
  endAt: row.end_at ?? undefined,
  timeoutMs: row.timeout_ms === null ? undefined : Number(row.timeout_ms),
  pausedAt: row.paused_at ?? undefined,
  pausedBy: row.paused_by ?? undefined,
  keptMemory: row.kept_memory,
  endedAt: row.ended_at ?? undefined,
  endReason: row.end_reason ?? undefined,
  machineRemoved: row.machine_removed,
  leaseUntil: row.lease_until,
  size: row.size,
  meter: {
    hourly: usd(row.hourly_micros),
    usedMs: Number(row.used_ms),
    paidMs: Number(row.paid_ms),
    runningSince: row.running_since ?? undefined,
  },
  transfers: row.transfers,
});

const only = ([row]: SandboxRow[]): Kept | undefined => row && keptOf(row);

export const findById = async (db: Db, id: SandboxId): Promise<Kept | undefined> =>
  only(await db.query<SandboxRow>(`select * from sandboxes where id = $1`, [id]));

export const findByCode = async (db: Db, code: string): Promise<Kept | undefined> =>
  only(await db.query<SandboxRow>(`select * from sandboxes where code = $1`, [code]));

/** Locks the row, so that what is decided about the sandbox still holds when it is saved. */
export const lockSandbox = async (tx: Tx, id: SandboxId): Promise<Kept | undefined> =>
  only(await tx.query<SandboxRow>(`select * from sandboxes where id = $1 for update`, [id]));

/** Whether the sandbox that a machine is or was the machine of has the interpreter. */
export const hadInterpreter = async (db: Db, machineId: MachineId): Promise<boolean> =>
  (await db.query(`select 1 from sandboxes where machine_id = $1 and interpreter`, [machineId])).length > 0;

export const lockByMachine = async (tx: Tx, machineId: MachineId): Promise<Kept | undefined> =>
  only(
    await tx.query<SandboxRow>(`select * from sandboxes where machine_id = $1 and state <> 'destroyed' for update`, [
      machineId,
    ]),
  );

/**
 * The next that is due, locked; what another process has in hand is left to it. Those whose machine is being moved
 * wait for that, and `besides` are those that could not be done just now.
 */
export const lockDue = async (tx: Tx, now: Date, besides: readonly SandboxId[]): Promise<Kept | undefined> =>
  only(
    await tx.query<SandboxRow>(
      `select * from sandboxes
        where state = 'running' and moving is null and least(paid_until, end_at) <= $1 and id <> all ($2::uuid[])
        order by least(paid_until, end_at)
        limit 1
          for update skip locked`,
      [now, besides],
    ),
  );

/**
 * What somebody began and has not finished for so long, by the database's clock: its maker is dead, or slow. Whoever
 * asks has it for as long again.
 */
export const takeUnsettled = async (tx: Tx, olderThanMs: number, limit: number): Promise<Kept[]> => {
  const rows = await tx.query<SandboxRow>(
    `update sandboxes set touched_at = clock_timestamp()
      where id in (select id from sandboxes
                    where (state = 'starting' or moving is not null or (state = 'destroyed' and not machine_removed))
                      and touched_at < clock_timestamp() - $1 * interval '1 millisecond'
                    order by touched_at
                    limit $2
                      for update skip locked)
      returning *`,
    [olderThanMs, limit],
  );
  return rows.map(keptOf);
};

/** Lets one transaction at a time count an account's sandboxes, until it ends. */
export async function lockAccount(tx: Tx, accountId: AccountId): Promise<void> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('sandboxes of ' || $1, 0))`, [accountId]);
}

export async function countLiving(tx: Tx, accountId: AccountId): Promise<number> {
  const [row] = await tx.query<{ living: number }>(
    `select count(*)::integer as living from sandboxes where account_id = $1 and state <> 'destroyed'`,
    [accountId],
  );
  return row?.living ?? 0;
}

/** What an account's paused sandboxes may use of the host's memory, those with their processes, and of its disk. */
export async function pausedOf(db: Db, accountId: AccountId): Promise<{ memoryMb: number; diskGb: number }> {
  const [row] = await db.query<{ memory_mb: number; disk_gb: number }>(
    `select coalesce(sum(memory_mb) filter (where kept_memory), 0)::double precision as memory_mb,
            coalesce(sum(disk_gb), 0) as disk_gb
       from sandboxes where account_id = $1 and state = 'paused'`,
    [accountId],
  );
  return { memoryMb: row?.memory_mb ?? 0, diskGb: row?.disk_gb ?? 0 };
}

/** Those that have been paused since then or longer; the longest first. */
export const pausedBefore = async (db: Db, at: Date, limit: number): Promise<SandboxId[]> =>
  (
    await db.query<{ id: SandboxId }>(
      `select id from sandboxes where state = 'paused' and paused_at <= $1 order by paused_at limit $2`,
      [at, limit],
    )
  ).map(({ id }) => id);

export async function insertSandbox(tx: Tx, kept: NewKept): Promise<void> {
  const { limits } = kept;
  await tx.query(
    `insert into sandboxes (id, code, account_id, machine_id, name, origin, state, template, vcpus, memory_mb, disk_gb,
                            pids, metadata, env, lifecycle, network, created_at, timeout_ms, lease_until, size,
                            hourly_micros, interpreter)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)`,
    [
      kept.id,
      kept.code,
      kept.accountId,
      kept.machineId,
      kept.name ?? null,
      kept.origin,
      kept.state,
      kept.template,
      limits.vcpus,
      limits.memoryMb,
      limits.diskGb,
      limits.pids,
      JSON.stringify(kept.metadata),
      JSON.stringify(kept.env),
      JSON.stringify(kept.lifecycle),
      JSON.stringify(kept.network),
      kept.createdAt,
      kept.timeoutMs ?? null,
      kept.leaseUntil,
      kept.size,
      kept.meter.hourly,
      kept.interpreter,
    ],
  );
}

/** Saves all of it that ever changes. Only for a row that this transaction has locked. */
export async function saveSandbox(tx: Tx, kept: Kept): Promise<void> {
  const { meter } = kept;
  await tx.query(
    `update sandboxes
        set machine_id = $2, state = $3, moving = $4, env = $5, network = $6, started_at = $7, end_at = $8,
            timeout_ms = $9, paused_at = $10, paused_by = $11, kept_memory = $12, ended_at = $13, end_reason = $14,
            machine_removed = $15, lease_until = $16, used_ms = $17, paid_ms = $18, running_since = $19,
            paid_until = $20, transfers = $21, pids = $22, touched_at = clock_timestamp()
      where id = $1`,
    [
      kept.id,
      kept.machineId,
      kept.state,
      kept.moving ?? null,
      JSON.stringify(kept.env),
      JSON.stringify(kept.network),
      kept.startedAt ?? null,
      kept.endAt ?? null,
      kept.timeoutMs ?? null,
      kept.pausedAt ?? null,
      kept.pausedBy ?? null,
      kept.keptMemory,
      kept.endedAt ?? null,
      kept.endReason ?? null,
      kept.machineRemoved,
      kept.leaseUntil,
      meter.usedMs,
      meter.paidMs,
      meter.runningSince ?? null,
      paidUntil(meter) ?? null,
      kept.transfers,
      kept.limits.pids,
    ],
  );
}

/** A sandbox that never ran leaves nothing. False where it is not the attempt with this machine any more. */
export async function forgetStarting(tx: Tx, id: SandboxId, machineId: MachineId): Promise<boolean> {
  const rows = await tx.query(
    `delete from sandboxes where id = $1 and machine_id = $2 and state = 'starting' returning 1`,
    [id, machineId],
  );
  return rows.length === 1;
}

/** Another attempt, with a machine of its own, at a sandbox whose maker is gone for so long. Undefined where it is not. */
export const takeOver = async (
  tx: Tx,
  id: SandboxId,
  machineId: MachineId,
  olderThanMs: number,
): Promise<Kept | undefined> =>
  only(
    await tx.query<SandboxRow>(
      `update sandboxes set machine_id = $2, touched_at = clock_timestamp()
        where id = $1 and state = 'starting' and touched_at < clock_timestamp() - $3 * interval '1 millisecond'
        returning *`,
      [id, machineId, olderThanMs],
    ),
  );

/** The move that began is done: false where it is another one by now. */
export async function noteMoved(tx: Tx, id: SandboxId, moving: Moving): Promise<boolean> {
  const rows = await tx.query(`update sandboxes set moving = null where id = $1 and moving = $2 returning 1`, [
    id,
    moving,
  ]);
  return rows.length === 1;
}

export async function noteMachineRemoved(tx: Tx, id: SandboxId): Promise<void> {
  await tx.query(`update sandboxes set machine_removed = true where id = $1 and state = 'destroyed'`, [id]);
}

/** One more than the limit is found where there are more. */
export async function listSandboxes(db: Db, accountId: AccountId, filter: ListFilter): Promise<Kept[]> {
  const { states = ['running', 'paused'], metadata = {}, template, startedAfter, order, limit, after } = filter;
  const [beyond, direction] = order === 'asc' ? ['>', 'asc'] : ['<', 'desc'];
  const rows = await db.query<SandboxRow>(
    `select * from sandboxes
      where account_id = $1 and state in ('running', 'paused') and state = any ($2) and metadata @> $3
        and ($4::text is null or template = $4) and ($5::timestamptz is null or started_at >= $5)
        and ($6::timestamptz is null or (started_at, seq) ${beyond} ($6, $7::bigint))
      order by started_at ${direction}, seq ${direction}
      limit $8`,
    [
      accountId,
      states,
      JSON.stringify(metadata),
      template ?? null,
      startedAfter ?? null,
      after?.startedAt ?? null,
      after?.seq ?? null,
      limit + 1,
    ],
  );
  return rows.map(keptOf);
}

/** Sandboxes of all accounts that are not over, newest first: what names them, since anybody may have us look. */
export const livingBefore = (
  db: Db,
  before: bigint | undefined,
  limit: number,
): Promise<Pick<Kept, 'id' | 'code' | 'seq'>[]> =>
  db.query(
    `select id, code, seq from sandboxes
      where state in ('running', 'paused') and ($1::bigint is null or seq < $1)
      order by seq desc
      limit $2`,
    [before ?? null, limit],
  );
