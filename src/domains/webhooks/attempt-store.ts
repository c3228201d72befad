import type { AccountId } from '../../kernel/ids.ts';
import type { Tx } from '../../platform/db.ts';
import type { DeliveryId, Verdict } from './delivery.ts';
import type { EndpointId } from './endpoint.ts';

/** One attempt that has begun: what to send, its number, and the sealed secrets that sign it. */
export type Attempt = {
  id: DeliveryId;
  account_id: AccountId;
  type: string;
  url: string;
  body: string;
  attempts: number;
  endpoint_id: EndpointId | null;
  event_id: string | null;
  secret: Buffer | null;
  previous: Buffer | null;
  previous_until: Date | null;
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
 * are looked at, so that a lane which is full or long holds up no other, and accounts take turns. From one lane to the
 * next the index is jumped along: however many deliveries wait, only their lanes cost.
 *
 * Rows that another worker is just claiming are skipped, not waited for. Two workers that claim at the same moment do
 * not see each other's claims yet, so the limits per host and account can be passed by a few.
 */
export const claimDue = (tx: Tx, now: Date, leasedUntil: Date, limits: ClaimLimits): Promise<Attempt[]> =>
  tx.query(
    `with recursive lanes as (
       (select account_id, host from webhook_deliveries where ended_at is null order by account_id, host limit 1)
       union all
       select next.account_id, next.host
         from lanes
        cross join lateral (
          select account_id, host
            from webhook_deliveries
           where ended_at is null and (account_id, host) > (lanes.account_id, lanes.host)
           order by account_id, host
           limit 1
        ) next
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
     ),
     begun as (
       update webhook_deliveries as delivery
          set attempts = attempts + 1, leased_until = $2
         from chosen
        where delivery.id = chosen.id
       returning delivery.id, account_id, type, url, body, attempts, endpoint_id, event_id
     )
     select begun.*, coalesce(endpoint.secret, own.current) as secret,
            case when endpoint.id is null then own.previous else endpoint.previous end as previous,
            case when endpoint.id is null then own.previous_until else endpoint.previous_until end as previous_until
       from begun
       left join webhook_endpoints as endpoint on endpoint.id = begun.endpoint_id
       left join webhook_secrets as own on own.account_id = begun.account_id and begun.endpoint_id is null`,
    [now, leasedUntil, limits.perHost, limits.perAccount, limits.count],
  );

/** An attempt that has ended, and what it has made of its delivery. */
export type Ended = { attempt: Attempt; verdict: Verdict };

/**
 * Ends attempts with what came of them. Answers the deliveries to which that applied: an attempt may no longer be the
 * newest, where its lease ran out and another worker has taken over, or its endpoint may be gone.
 */
export async function endAttempts(tx: Tx, ended: readonly Ended[]): Promise<Set<DeliveryId>> {
  const rows = await tx.query<{ id: DeliveryId }>(
    `update webhook_deliveries as delivery
        set state = ended.state, next_attempt_at = ended.at, last_response_code = ended.code, last_error = ended.error,
            ended_at = case when ended.state = 'failed' then null else ended.at end, leased_until = null
       from unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::integer[], $6::text[])
         as ended (id, attempts, state, at, code, error)
      where delivery.id = ended.id and delivery.attempts = ended.attempts and ended_at is null
     returning delivery.id`,
    [
      ended.map(({ attempt }) => attempt.id),
      ended.map(({ attempt }) => attempt.attempts),
      ended.map(({ verdict }) => verdict.state),
      ended.map(({ verdict }) => verdict.at),
      ended.map(({ verdict }) => verdict.code),
      ended.map(({ verdict }) => verdict.error),
    ],
  );
  return new Set(rows.map(({ id }) => id));
}

/** Takes back an attempt that was not carried through: it does not count, and any worker may begin it again. */
export const withdrawAttempt = (tx: Tx, attempt: Attempt) =>
  tx.query(
    `update webhook_deliveries set attempts = attempts - 1, leased_until = null where id = $1 and attempts = $2 and ended_at is null`,
    [attempt.id, attempt.attempts],
  );

export async function deleteEndedBefore(tx: Tx, before: Date): Promise<number> {
  const rows = await tx.query(`delete from webhook_deliveries where ended_at <= $1 returning 1`, [before]);
  return rows.length;
}
