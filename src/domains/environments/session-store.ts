import type { AccountId, MachineId, SnapshotId } from '../../kernel/ids.ts';
import { usd } from '../../kernel/money.ts';
import type { Db, Tx } from '../../platform/db.ts';
import { paidUntil } from '../ledger/index.ts';
import type { SampleId } from './sample.ts';
import type { EndState, Session, SessionId, SessionState } from './session.ts';

type SessionRow = {
  id: SessionId;
  seq: bigint;
  account_id: AccountId;
  sample: SampleId;
  dataset: string;
  sample_id: string;
  state: SessionState;
  machine_id: MachineId;
  machine_removed: boolean;
  forked_from: SessionId | null;
  snapshot_id: SnapshotId | null;
  requested_at: Date;
  ready_at: Date | null;
  expires_at: Date;
  idle_ms: bigint | null;
  active_at: Date;
  due_at: Date;
  failures: number;
  ended_at: Date | null;
  error_code: string | null;
  error_message: string | null;
  hourly_micros: bigint;
  used_ms: bigint;
  paid_ms: bigint;
  running_since: Date | null;
  transfers: number;
  spent_micros: bigint;
};

const sessionOf = (row: SessionRow): Session => ({
  id: row.id,
  seq: row.seq,
  accountId: row.account_id,
  sample: row.sample,
  dataset: row.dataset,
  sampleId: row.sample_id,
  state: row.state,
  machineId: row.machine_id,
  machineRemoved: row.machine_removed,
  forkedFrom: row.forked_from ?? undefined,
  snapshotId: row.snapshot_id ?? undefined,
  requestedAt: row.requested_at,
  readyAt: row.ready_at ?? undefined,
  expiresAt: row.expires_at,
  idleMs: row.idle_ms === null ? undefined : Number(row.idle_ms),
  activeAt: row.active_at,
  dueAt: row.due_at,
  failures: row.failures,
  endedAt: row.ended_at ?? undefined,
  error: row.error_code === null ? undefined : { code: row.error_code, message: row.error_message ?? '' },
  meter: {
    hourly: usd(row.hourly_micros),
    usedMs: Number(row.used_ms),
    paidMs: Number(row.paid_ms),
    runningSince: row.running_since ?? undefined,
  },
  transfers: row.transfers,
  spent: usd(row.spent_micros),
});

export type NewSession = Pick<
  Session,
  | 'id'
  | 'accountId'
  | 'sample'
  | 'dataset'
  | 'sampleId'
  | 'machineId'
  | 'forkedFrom'
  | 'snapshotId'
  | 'requestedAt'
  | 'expiresAt'
  | 'idleMs'
> & { hourlyMicros: bigint };

/** False where the id is taken: the request is carried out once more. */
export async function insertSession(tx: Tx, session: NewSession): Promise<boolean> {
  const rows = await tx.query(
    `insert into env_sessions (id, account_id, sample, dataset, sample_id, state, machine_id, forked_from, snapshot_id,
                               requested_at, expires_at, idle_ms, active_at, due_at, hourly_micros)
     values ($1, $2, $3, $4, $5, 'creating', $6, $7, $8, $9, $10, $11, $9, $9, $12)
     on conflict do nothing
     returning 1`,
    [
      session.id,
      session.accountId,
      session.sample,
      session.dataset,
      session.sampleId,
      session.machineId,
      session.forkedFrom ?? null,
      session.snapshotId ?? null,
      session.requestedAt,
      session.expiresAt,
      session.idleMs ?? null,
      session.hourlyMicros,
    ],
  );
  return rows.length === 1;
}

export const findSession = async (db: Db, id: SessionId): Promise<Session | undefined> =>
  (await db.query<SessionRow>(`select * from env_sessions where id = $1`, [id])).map(sessionOf)[0];

/**
 * The session, locked until the transaction ends. Whoever changes its state or its money holds this lock, so of two who
 * would, the second sees what the first has done.
 */
export const lockSession = async (tx: Tx, id: SessionId): Promise<Session | undefined> =>
  (await tx.query<SessionRow>(`select * from env_sessions where id = $1 for update`, [id])).map(sessionOf)[0];

/** How many of an account's sessions are not over; the account's openings wait for each other. */
export async function countLiving(tx: Tx, accountId: AccountId): Promise<number> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('env_sessions:' || $1, 0))`, [accountId]);
  const [row] = await tx.query<{ living: number }>(
    `select count(*)::integer as living from env_sessions where account_id = $1 and ended_at is null`,
    [accountId],
  );
  return row?.living ?? 0;
}

/** A part of an account's sessions, newest first, and how many it has. */
export async function numberedSessions(
  db: Db,
  accountId: AccountId,
  { limit, offset }: { limit: number; offset: number },
): Promise<{ sessions: Session[]; total: number }> {
  const [counted] = await db.query<{ total: number }>(
    `select count(*)::integer as total from env_sessions where account_id = $1`,
    [accountId],
  );
  const rows = await db.query<SessionRow>(
    `select * from env_sessions where account_id = $1 order by seq desc limit $2 offset $3`,
    [accountId, limit, offset],
  );
  return { sessions: rows.map(sessionOf), total: counted?.total ?? 0 };
}

/** Writes what the meter shows and what became of the session. The caller holds its lock. */
export async function writeMeter(tx: Tx, { id, meter, transfers, spent }: Session): Promise<void> {
  await tx.query(
    `update env_sessions
        set used_ms = $2, paid_ms = $3, running_since = $4, paid_until = $5, transfers = $6, spent_micros = $7
      where id = $1`,
    [id, meter.usedMs, meter.paidMs, meter.runningSince ?? null, paidUntil(meter) ?? null, transfers, spent],
  );
}

export async function writeReady(tx: Tx, session: Session, now: Date): Promise<void> {
  const { meter } = session;
  await tx.query(
    `update env_sessions
        set state = 'ready', ready_at = $2, active_at = $2, used_ms = $3, paid_ms = $4, running_since = $5,
            paid_until = $6, transfers = $7, spent_micros = $8
      where id = $1`,
    [
      session.id,
      now,
      meter.usedMs,
      meter.paidMs,
      meter.runningSince ?? null,
      paidUntil(meter) ?? null,
      session.transfers,
      session.spent,
    ],
  );
}

export async function writeEnd(
  tx: Tx,
  session: Session,
  end: { state: EndState; at: Date; error: Session['error'] },
): Promise<void> {
  const { meter } = session;
  await tx.query(
    `update env_sessions
        set state = $2, ended_at = $3, error_code = $4, error_message = $5, used_ms = $6, paid_ms = $7,
            running_since = null, paid_until = null, transfers = $8, spent_micros = $9
      where id = $1`,
    [
      session.id,
      end.state,
      end.at,
      end.error?.code ?? null,
      end.error?.message ?? null,
      meter.usedMs,
      meter.paidMs,
      session.transfers,
      session.spent,
    ],
  );
}

/** A session that could not be started now is tried again later. */
export async function postpone(tx: Tx, id: SessionId, dueAt: Date, failures: number): Promise<void> {
  await tx.query(`update env_sessions set due_at = $2, failures = failures + $3 where id = $1 and state = 'creating'`, [
    id,
    dueAt,
    failures,
  ]);
}

export async function noteActivity(tx: Tx, id: SessionId, now: Date): Promise<void> {
  await tx.query(`update env_sessions set active_at = greatest(active_at, $2) where id = $1`, [id, now]);
}

export async function writeExpiry(tx: Tx, id: SessionId, expiresAt: Date): Promise<void> {
  await tx.query(`update env_sessions set expires_at = greatest(expires_at, $2) where id = $1`, [id, expiresAt]);
}

export async function noteMachineRemoved(tx: Tx, id: SessionId): Promise<void> {
  await tx.query(`update env_sessions set machine_removed = true where id = $1 and ended_at is not null`, [id]);
}

const ids = (rows: { id: SessionId }[]): SessionId[] => rows.map(({ id }) => id);

/** Sessions that wait for their machine, to be looked at now. */
export const dueToStart = async (db: Db, now: Date, limit: number): Promise<SessionId[]> =>
  ids(
    await db.query<{ id: SessionId }>(
      `select id from env_sessions where ended_at is null and state = 'creating' and due_at <= $1 order by seq limit $2`,
      [now, limit],
    ),
  );

/** Sessions with a machine whose time, money or idle time is over. A command under way is no idling. */
export const dueToTend = async (db: Db, now: Date, limit: number): Promise<SessionId[]> =>
  ids(
    await db.query<{ id: SessionId }>(
      `select id from env_sessions s
        where ended_at is null and state = 'ready'
          and (expires_at <= $1 or paid_until <= $1
               or (active_at + idle_ms * interval '1 millisecond' <= $1
                   and not exists (select 1 from env_interactions i where i.session_id = s.id and i.state = 'pending')))
        order by seq limit $2`,
      [now, limit],
    ),
  );

/** Sessions that were over before a time and whose machine is not known to be gone. */
export const leftBehind = async (db: Db, before: Date, limit: number): Promise<SessionId[]> =>
  ids(
    await db.query<{ id: SessionId }>(
      `select id from env_sessions where ended_at <= $1 and not machine_removed order by ended_at limit $2`,
      [before, limit],
    ),
  );
