import { assert } from '../../kernel/errors.ts';
import type { AccountId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Delivery, DeliveryId, DeliveryState, Verdict } from './delivery.ts';

export type SecretRow = {
  account_id: AccountId;
  current: Buffer;
  created_at: Date;
  previous: Buffer | null;
  previous_until: Date | null;
};

type DeliveryRow = {
  id: DeliveryId;
  account_id: AccountId;
  type: string;
  subject: string;
  url: string;
  state: DeliveryState;
  attempts: number;
  next_attempt_at: Date;
  last_response_code: number | null;
  last_error: string | null;
  created_at: Date;
  ended_at: Date | null;
};

const DELIVERY_COLUMNS = `id, account_id, type, subject, url, state, attempts, next_attempt_at, last_response_code, last_error, created_at, ended_at`;

export async function readSecret(db: Db, accountId: AccountId): Promise<SecretRow | undefined> {
  const [row] = await db.query<SecretRow>(`select * from webhook_secrets where account_id = $1`, [accountId]);
  return row;
}

/** The account's secret, locked against another rotation. There must be one. */
export async function lockSecret(tx: Tx, accountId: AccountId): Promise<SecretRow> {
  const [row] = await tx.query<SecretRow>(`select * from webhook_secrets where account_id = $1 for update`, [
    accountId,
  ]);
  assert(row, 'the account has a webhook secret');
  return row;
}

/** Does nothing where the account has one already. */
export async function insertSecret(tx: Tx, accountId: AccountId, sealed: Buffer, now: Date): Promise<void> {
  await tx.query(
    `insert into webhook_secrets (account_id, current, created_at) values ($1, $2, $3) on conflict do nothing`,
    [accountId, sealed, now],
  );
}

export async function replaceSecret(
  tx: Tx,
  accountId: AccountId,
  sealed: Buffer,
  now: Date,
  until: Date,
): Promise<SecretRow> {
  const [row] = await tx.query<SecretRow>(
    `update webhook_secrets
        set previous = current, previous_until = $4, current = $2, created_at = $3
      where account_id = $1
     returning *`,
    [accountId, sealed, now, until],
  );
  assert(row, 'the account has a webhook secret');
  return row;
}

export type NewDelivery = Pick<Delivery, 'id' | 'accountId' | 'type' | 'subject' | 'url'> & {
  host: string;
  body: string;
};

export async function insertDelivery(tx: Tx, delivery: NewDelivery, now: Date): Promise<void> {
  const { id, accountId, type, subject, url, host, body } = delivery;
  await tx.query(
    `insert into webhook_deliveries
       (id, account_id, type, subject, url, host, body, state, next_attempt_at, created_at)
     values ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $8)`,
    [id, accountId, type, subject, url, host, body, now],
  );
}

/** One attempt that has begun: what to send, and its number. */
export type Attempt = {
  id: DeliveryId;
  account_id: AccountId;
  type: string;
  url: string;
  body: string;
  attempts: number;
};

export type ClaimLimits = {
  /** Attempts to begin at the most. */
  count: number;
  /** Attempts under way at once to one receiving host, and for one account. */
  perHost: number;
  perAccount: number;
};

/**
 * Begins attempts that are due. Deliveries wait in lanes, one for each account and host; the first ones of every lane
 * are looked at, so that a lane which is full or long holds up no other, and accounts take turns.
 *
 * Rows that another worker is just claiming are skipped, not waited for. Two workers that claim at the same moment do
 * not see each other's claims yet, so the limits per host and account can be passed by a few.
 */
export const claimDue = (tx: Tx, now: Date, leasedUntil: Date, limits: ClaimLimits): Promise<Attempt[]> =>
  tx.query(
    `with lanes as materialized (
       select account_id, host
         from webhook_deliveries
        where ended_at is null and next_attempt_at <= $1 and (leased_until is null or leased_until <= $1)
        group by account_id, host
     ),
     firsts as materialized (
       select first.*
         from lanes
        cross join lateral (
          select id, account_id, host, next_attempt_at
            from webhook_deliveries
           where account_id = lanes.account_id and host = lanes.host
             and ended_at is null and next_attempt_at <= $1 and (leased_until is null or leased_until <= $1)
           order by next_attempt_at, id
           limit $3
             for update skip locked
        ) first
     ),
     under_way as materialized (
       select account_id, host, count(*) as count
         from webhook_deliveries
        where ended_at is null and leased_until > $1
        group by account_id, host
     ),
     placed as (
       select id,
              row_number() over (partition by host order by next_attempt_at, id)
                + coalesce((select sum(count) from under_way where under_way.host = firsts.host), 0) as host_place,
              row_number() over (partition by account_id order by next_attempt_at, id)
                + coalesce((select sum(count) from under_way where under_way.account_id = firsts.account_id), 0) as account_place
         from firsts
     ),
     chosen as (
       select id from placed where host_place <= $3 and account_place <= $4 order by account_place, id limit $5
     )
     update webhook_deliveries as delivery
        set attempts = attempts + 1, leased_until = $2
       from chosen
      where delivery.id = chosen.id
     returning delivery.id, account_id, type, url, body, attempts`,
    [now, leasedUntil, limits.perHost, limits.perAccount, limits.count],
  );

/**
 * Ends an attempt with what came of it. False where the attempt is no longer the delivery's newest: its lease ran out
 * and another worker has taken over.
 */
export async function endAttempt(tx: Tx, attempt: Attempt, verdict: Verdict): Promise<boolean> {
  const { state, at, code, error } = verdict;
  const ended = state === 'failed' ? null : at;
  const rows = await tx.query(
    `update webhook_deliveries
        set state = $3, next_attempt_at = $4, ended_at = $5, last_response_code = $6, last_error = $7, leased_until = null
      where id = $1 and attempts = $2 and ended_at is null
     returning 1`,
    [attempt.id, attempt.attempts, state, at, ended, code, error],
  );
  return rows.length > 0;
}

/** Takes back an attempt that was not carried through: it does not count, and any worker may begin it again. */
export const withdrawAttempt = (tx: Tx, attempt: Attempt) =>
  tx.query(
    `update webhook_deliveries set attempts = attempts - 1, leased_until = null where id = $1 and attempts = $2 and ended_at is null`,
    [attempt.id, attempt.attempts],
  );

/** The account's deliveries, newest first; those before `before` where it is given. */
export async function listDeliveries(
  db: Db,
  accountId: AccountId,
  page: { limit: number; before: DeliveryId | undefined },
): Promise<Delivery[]> {
  const rows = await db.query<DeliveryRow>(
    `select ${DELIVERY_COLUMNS}
       from webhook_deliveries
      where account_id = $1
        and ($2::text is null
             or (created_at, id) < (select created_at, id from webhook_deliveries where id = $2 and account_id = $1))
      order by created_at desc, id desc
      limit $3`,
    [accountId, page.before ?? null, page.limit],
  );
  return rows.map(present);
}

const present = (row: DeliveryRow): Delivery => ({
  id: row.id,
  accountId: row.account_id,
  type: row.type,
  subject: row.subject,
  url: row.url,
  state: row.state,
  attempts: row.attempts,
  nextAttemptAt: row.ended_at ? null : row.next_attempt_at,
  lastResponseCode: row.last_response_code,
  lastError: row.last_error,
  createdAt: row.created_at,
  endedAt: row.ended_at,
});

export async function deleteEndedBefore(tx: Tx, before: Date): Promise<number> {
  const rows = await tx.query(`delete from webhook_deliveries where ended_at <= $1 returning 1`, [before]);
  return rows.length;
}
