import type { AccountId, MachineId, ServerId } from '../../kernel/ids.ts';
import { usd } from '../../kernel/money.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { PlanId, RegionId } from './catalogue.ts';
import { claimable } from './claim-store.ts';
import type { Login, Moving, NewServer, Offer, Server, ServerState } from './server.ts';

type ServerRow = {
  id: ServerId;
  seq: bigint;
  account_id: AccountId;
  offer: Offer;
  name: string;
  slug: string | null;
  plan: PlanId | null;
  region: RegionId | null;
  vcpus: number;
  memory_mb: number;
  disk_gb: number;
  pids: number;
  machine_id: MachineId;
  restored_from: string | null;
  login: Login;
  authorized_keys: string[];
  password: boolean;
  address: string | null;
  state: ServerState;
  power: 'on' | 'off';
  moving: Moving | null;
  failure: string | null;
  attempts: number;
  period_micros: bigint;
  period_ms: bigint;
  periods: number;
  paid_until: Date | null;
  created_at: Date;
  active_at: Date | null;
  suspended_at: Date | null;
  ended_at: Date | null;
  machine_removed: boolean;
};

const serverOf = (row: ServerRow): Server => ({
  id: row.id,
  seq: row.seq,
  accountId: row.account_id,
  offer: row.offer,
  name: row.name,
  slug: row.slug ?? undefined,
  plan: row.plan ?? undefined,
  region: row.region ?? undefined,
  limits: { vcpus: row.vcpus, memoryMb: row.memory_mb, diskGb: row.disk_gb, pids: row.pids },
  machineId: row.machine_id,
  restoredFrom: row.restored_from ?? undefined,
  login: row.login,
  authorizedKeys: row.authorized_keys,
  password: row.password,
  address: row.address ?? undefined,
  state: row.state,
  power: row.power,
  moving: row.moving ?? undefined,
  failure: row.failure ?? undefined,
  attempts: row.attempts,
  meter: {
    price: usd(row.period_micros),
    periodMs: Number(row.period_ms),
    periods: row.periods,
    paidUntil: row.paid_until ?? undefined,
  },
  createdAt: row.created_at,
  activeAt: row.active_at ?? undefined,
  suspendedAt: row.suspended_at ?? undefined,
  endedAt: row.ended_at ?? undefined,
  machineRemoved: row.machine_removed,
});

const only = ([row]: ServerRow[]): Server | undefined => row && serverOf(row);

export const findServer = async (db: Db, id: ServerId): Promise<Server | undefined> =>
  only(await db.query<ServerRow>(`select * from servers where id = $1`, [id]));

/** Locks the row, so that what is decided about the server still holds when it is saved. */
export const lockServer = async (tx: Tx, id: ServerId): Promise<Server | undefined> =>
  only(await tx.query<ServerRow>(`select * from servers where id = $1 for update`, [id]));

export const lockByMachine = async (tx: Tx, machineId: MachineId): Promise<Server | undefined> =>
  only(
    await tx.query<ServerRow>(`select * from servers where machine_id = $1 and state <> 'destroyed' for update`, [
      machineId,
    ]),
  );

/** Those that are not destroyed, oldest first. */
export const serversOf = async (db: Db, accountId: AccountId, offer: Offer): Promise<Server[]> =>
  (
    await db.query<ServerRow>(
      `select * from servers where account_id = $1 and offer = $2 and state <> 'destroyed' order by seq`,
      [accountId, offer],
    )
  ).map(serverOf);

export const livingBySlug = async (db: Db, slug: string): Promise<Server | undefined> =>
  only(
    await db.query<ServerRow>(`select * from servers where slug = $1 and state not in ('error', 'destroyed')`, [slug]),
  );

/** Lets one transaction at a time count an account's servers, until it ends. */
export async function lockAccount(tx: Tx, accountId: AccountId): Promise<void> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('servers of ' || $1, 0))`, [accountId]);
}

export async function countLiving(tx: Tx, accountId: AccountId, offer: Offer): Promise<number> {
  const [row] = await tx.query<{ living: number }>(
    `select count(*)::integer as living from servers
      where account_id = $1 and offer = $2 and state not in ('error', 'destroyed')`,
    [accountId, offer],
  );
  return row?.living ?? 0;
}

/** The first of these addresses that no server has; undefined where each has one. One transaction at a time chooses. */
export async function takeAddress(tx: Tx, pool: readonly string[]): Promise<string | undefined> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('addresses of servers', 0))`);
  const [row] = await tx.query<{ address: string }>(
    `select address from unnest($1::text[]) with ordinality as pool (address, place)
      where not exists (select from servers
                         where servers.address = pool.address
                           and not (state in ('error', 'destroyed') and machine_removed))
      order by place limit 1`,
    [pool],
  );
  return row?.address;
}

/** False where a living server has the slug. */
export async function insertServer(tx: Tx, server: NewServer): Promise<boolean> {
  const { limits, meter } = server;
  const inserted = await tx.query(
    `insert into servers (id, account_id, offer, name, slug, plan, region, vcpus, memory_mb, disk_gb, pids, machine_id,
                          restored_from, login, authorized_keys, password, address, state, period_micros, period_ms,
                          created_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
     on conflict (slug) where slug is not null and state not in ('error', 'destroyed') do nothing
     returning id`,
    [
      server.id,
      server.accountId,
      server.offer,
      server.name,
      server.slug ?? null,
      server.plan ?? null,
      server.region ?? null,
      limits.vcpus,
      limits.memoryMb,
      limits.diskGb,
      limits.pids,
      server.machineId,
      server.restoredFrom ?? null,
      server.login,
      server.authorizedKeys,
      server.password,
      server.address ?? null,
      server.state,
      meter.price,
      meter.periodMs,
      server.createdAt,
    ],
  );
  return inserted.length > 0;
}

/** Saves all of it that ever changes. Only for a row that this transaction has locked. */
export async function saveServer(tx: Tx, server: Server): Promise<void> {
  const { meter } = server;
  await tx.query(
    `update servers
        set machine_id = $2, authorized_keys = $3, password = $4, state = $5, power = $6, moving = $7, failure = $8,
            attempts = $9, periods = $10, paid_until = $11, active_at = $12, suspended_at = $13, ended_at = $14,
            machine_removed = $15, touched_at = clock_timestamp()
      where id = $1`,
    [
      server.id,
      server.machineId,
      server.authorizedKeys,
      server.password,
      server.state,
      server.power,
      server.moving ?? null,
      server.failure ?? null,
      server.attempts,
      meter.periods,
      meter.paidUntil ?? null,
      server.activeAt ?? null,
      server.suspendedAt ?? null,
      server.endedAt ?? null,
      server.machineRemoved,
    ],
  );
}

/** The copy that its disk began as is not there any more. */
export async function forgetRestored(tx: Tx, id: ServerId): Promise<void> {
  await tx.query(`update servers set restored_from = null where id = $1`, [id]);
}

/**
 * Those whose next period is due, first due first, locked; what another process has in hand is left to it. `besides`
 * are those that could not be done just now.
 */
export const lockDue = async (tx: Tx, now: Date, limit: number, besides: readonly ServerId[]): Promise<Server[]> =>
  (
    await tx.query<ServerRow>(
      `select * from servers
        where state = 'active' and paid_until <= $1 and id <> all ($2::uuid[])
        order by paid_until, seq
        limit $3
          for update skip locked`,
      [now, besides, limit],
    )
  ).map(serverOf);

/** Only for rows that this transaction has locked. */
export async function savePaid(tx: Tx, paid: readonly Server[]): Promise<void> {
  await tx.query(
    `update servers set periods = p.periods, paid_until = p.paid_until
       from unnest($1::uuid[], $2::integer[], $3::timestamptz[]) as p (id, periods, paid_until)
      where servers.id = p.id`,
    [paid.map(({ id }) => id), paid.map(({ meter }) => meter.periods), paid.map(({ meter }) => meter.paidUntil)],
  );
}

/** Accounts with servers that are off for want of money only, and what the cheapest of these needs. */
export const suspendedAccounts = async (db: Db): Promise<{ accountId: AccountId; least: bigint }[]> =>
  (
    await db.query<{ account_id: AccountId; least: bigint }>(
      `select account_id, min(period_micros) as least from servers
        where state = 'suspended' and account_id not in (select account_id from server_holds)
        group by account_id`,
    )
  ).map(({ account_id: accountId, least }) => ({ accountId, least }));

/** Longest suspended first. */
export const lockSuspended = async (tx: Tx, accountId: AccountId): Promise<Server[]> =>
  (
    await tx.query<ServerRow>(
      `select * from servers where account_id = $1 and state = 'suspended' order by suspended_at, seq for update`,
      [accountId],
    )
  ).map(serverOf);

export const suspendedBefore = async (db: Db, before: Date, limit: number): Promise<ServerId[]> =>
  (
    await db.query<{ id: ServerId }>(
      `select id from servers
        where state = 'suspended' and suspended_at <= $1 and account_id not in (select account_id from server_holds)
        order by suspended_at limit $2`,
      [before, limit],
    )
  ).map(({ id }) => id);

/** Servers whose machines do not yet agree with them. */
export const unsettledServers = claimable<ServerId, Server>(
  {
    table: 'servers',
    unsettled: `(state in ('provisioning', 'destroying') or moving is not null
                 or (state = 'error' and not machine_removed) or (restored_from is not null and state <> 'destroyed'))`,
  },
  async (tx, query, values) => only(await tx.query<ServerRow>(query, values)),
);
