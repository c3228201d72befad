import type { AccountId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import { FAILED_FOR_DAYS, type Endpoint, type EndpointId } from './endpoint.ts';

export type EndpointRow = {
  id: EndpointId;
  account_id: AccountId;
  url: string;
  events: string[];
  secret: Buffer;
  previous: Buffer | null;
  previous_until: Date | null;
  failing_since: Date | null;
  disabled_at: Date | null;
  disabled_reason: string | null;
  created_at: Date;
};

/** One account's changes to its endpoints come one after the other, so that their limit holds. */
export const lockEndpoints = (tx: Tx, accountId: AccountId) =>
  tx.query(`select pg_advisory_xact_lock(hashtextextended('webhook endpoints of ' || $1, 0))`, [accountId]);

export const endpointsOf = (db: Db, accountId: AccountId): Promise<EndpointRow[]> =>
  db.query(`select * from webhook_endpoints where account_id = $1 and removed_at is null order by created_at, id`, [
    accountId,
  ]);

export async function findEndpoint(db: Db, id: EndpointId): Promise<EndpointRow | undefined> {
  const [row] = await db.query<EndpointRow>(`select * from webhook_endpoints where id = $1 and removed_at is null`, [
    id,
  ]);
  return row;
}

export async function lockEndpoint(tx: Tx, id: EndpointId): Promise<EndpointRow | undefined> {
  const [row] = await tx.query<EndpointRow>(
    `select * from webhook_endpoints where id = $1 and removed_at is null for update`,
    [id],
  );
  return row;
}

export type NewEndpoint = Pick<Endpoint, 'id' | 'accountId' | 'url' | 'events'> & { sealed: Buffer };

export const insertEndpoint = (tx: Tx, { id, accountId, url, events, sealed }: NewEndpoint, now: Date) =>
  tx.query(
    `insert into webhook_endpoints (id, account_id, url, events, secret, secret_at, created_at)
     values ($1, $2, $3, $4, $5, $6, $6)`,
    [id, accountId, url, events, sealed, now],
  );

export const writeSecret = (tx: Tx, id: EndpointId, sealed: Buffer, now: Date, previousUntil: Date) =>
  tx.query(
    `update webhook_endpoints
        set previous = secret, previous_until = $4, secret = $2, secret_at = $3
      where id = $1`,
    [id, sealed, now, previousUntil],
  );

/** Takes an endpoint out of use; what was still to be told is given up. */
export async function removeEndpoint(tx: Tx, id: EndpointId, now: Date): Promise<void> {
  await tx.query(`update webhook_endpoints set removed_at = $2 where id = $1`, [id, now]);
  await giveUpWaiting(tx, [id], now);
}

export const enableEndpoint = (tx: Tx, id: EndpointId) =>
  tx.query(
    `update webhook_endpoints set disabled_at = null, disabled_reason = null, failing_since = null where id = $1`,
    [id],
  );

/** An attempt has succeeded. */
export const noteHealthy = (tx: Tx, ids: readonly EndpointId[]) =>
  tx.query(`update webhook_endpoints set failing_since = null where id = any($1) and failing_since is not null`, [ids]);

/** Attempts have failed. Answers the endpoints that are disabled by it: they have failed since `since` or longer. */
export async function noteFailing(
  tx: Tx,
  ids: readonly EndpointId[],
  now: Date,
  since: Date,
): Promise<Pick<EndpointRow, 'id' | 'account_id' | 'url'>[]> {
  await tx.query(`update webhook_endpoints set failing_since = $2 where id = any($1) and failing_since is null`, [
    ids,
    now,
  ]);
  const disabled = await tx.query<Pick<EndpointRow, 'id' | 'account_id' | 'url'>>(
    `update webhook_endpoints
        set disabled_at = $2, disabled_reason = $4
      where id = any($1) and failing_since <= $3 and disabled_at is null and removed_at is null
     returning id, account_id, url`,
    [ids, now, since, FAILED_FOR_DAYS],
  );
  await giveUpWaiting(tx, ids, now);
  return disabled;
}

/** Nobody waits for an endpoint that is out of use. Attempts under way come to their own end. */
const giveUpWaiting = (tx: Tx, ids: readonly EndpointId[], now: Date) =>
  tx.query(
    `update webhook_deliveries as delivery
        set state = 'exhausted', ended_at = $2,
            last_error = case when endpoint.removed_at is null then 'endpoint disabled' else 'endpoint removed' end
       from webhook_endpoints as endpoint
      where endpoint.id = any($1) and (endpoint.removed_at is not null or endpoint.disabled_at is not null)
        and delivery.endpoint_id = endpoint.id and delivery.ended_at is null
        and (delivery.leased_until is null or delivery.leased_until <= $2)`,
    [ids, now],
  );

/** Active endpoints of these accounts that want one of these types. */
export const wanting = (
  db: Db,
  accountIds: readonly AccountId[],
  types: readonly string[],
): Promise<Pick<EndpointRow, 'id' | 'account_id' | 'url' | 'events'>[]> =>
  db.query(
    `select id, account_id, url, events
       from webhook_endpoints
      where account_id = any($1::uuid[]) and events && $2::text[] and removed_at is null and disabled_at is null
      order by created_at, id`,
    [accountIds, types],
  );

/** Endpoints that were removed long ago, and whose deliveries are forgotten by now. */
export const deleteRemovedBefore = (tx: Tx, before: Date) =>
  tx.query(
    `delete from webhook_endpoints as endpoint
      where removed_at <= $1 and not exists (select 1 from webhook_deliveries where endpoint_id = endpoint.id)`,
    [before],
  );
