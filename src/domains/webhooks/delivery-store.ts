import type { AccountId } from '../../kernel/ids.ts';
import { after, DAY } from '../../kernel/time.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Delivery, DeliveryId, DeliveryState } from './delivery.ts';
import type { EndpointId } from './endpoint.ts';

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
  endpoint_id: EndpointId | null;
  event_id: string | null;
};

const DELIVERY_COLUMNS = `id, account_id, type, subject, url, state, attempts, next_attempt_at, last_response_code, last_error, created_at, ended_at, endpoint_id, event_id`;

export type NewDelivery = Pick<Delivery, 'id' | 'accountId' | 'type' | 'subject' | 'url'> & {
  body: string;
  /** Where an endpoint is told, and of which event; otherwise an address that came with its subject. */
  endpoint?: { id: EndpointId; eventId: string } | undefined;
};

/** A delivery that is there already stays as it is. */
export async function insertDeliveries(tx: Tx, deliveries: readonly NewDelivery[], now: Date): Promise<void> {
  if (deliveries.length === 0) return;
  await tx.query(
    `insert into webhook_deliveries
       (id, account_id, type, subject, url, host, body, endpoint_id, event_id, state, next_attempt_at, created_at)
     select id, account_id, type, subject, url, host, body, endpoint_id, event_id, 'pending', $1, $1
       from unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
         as new (id, account_id, type, subject, url, host, body, endpoint_id, event_id)
     on conflict (id) do nothing`,
    [
      now,
      deliveries.map(({ id }) => id),
      deliveries.map(({ accountId }) => accountId),
      deliveries.map(({ type }) => type),
      deliveries.map(({ subject }) => subject),
      deliveries.map(({ url }) => url),
      deliveries.map(({ url }) => URL.parse(url)?.host ?? url),
      deliveries.map(({ body }) => body),
      deliveries.map(({ endpoint }) => endpoint?.id ?? null),
      deliveries.map(({ endpoint }) => endpoint?.eventId ?? null),
    ],
  );
}

/** Deliveries of the same events to the same endpoints once more. */
export const insertReplays = (tx: Tx, replays: readonly { of: DeliveryId; as: DeliveryId }[], now: Date) =>
  tx.query(
    `insert into webhook_deliveries
       (id, account_id, type, subject, url, host, body, endpoint_id, event_id, state, next_attempt_at, created_at)
     select replay.new_id, account_id, type, subject, url, host, body, endpoint_id, event_id, 'pending', $1, $1
       from unnest($2::text[], $3::text[]) as replay (old_id, new_id)
       join webhook_deliveries on webhook_deliveries.id = replay.old_id
     on conflict (id) do nothing`,
    [now, replays.map((replay) => replay.of), replays.map((replay) => replay.as)],
  );

/** What an endpoint was never told since then, though it was tried: one delivery of each event, oldest first. */
export async function lostSince(db: Db, endpointId: EndpointId, since: Date, limit: number): Promise<DeliveryId[]> {
  const rows = await db.query<{ id: DeliveryId }>(
    `select min(id) as id
       from webhook_deliveries
      where endpoint_id = $1 and created_at >= $2
      group by event_id
     having bool_and(state = 'exhausted')
      order by min(created_at), min(id)
      limit $3`,
    [endpointId, since, limit],
  );
  return rows.map(({ id }) => id);
}

export async function findDelivery(db: Db, id: DeliveryId): Promise<Delivery | undefined> {
  const [row] = await db.query<DeliveryRow>(`select ${DELIVERY_COLUMNS} from webhook_deliveries where id = $1`, [id]);
  return row && present(row);
}

/** Deliveries to one endpoint, newest first. */
export async function deliveriesTo(
  db: Db,
  endpointId: EndpointId,
  { state, limit }: { state?: DeliveryState | undefined; limit: number },
): Promise<Delivery[]> {
  const rows = await db.query<DeliveryRow>(
    `select ${DELIVERY_COLUMNS}
       from webhook_deliveries
      where endpoint_id = $1 and ($2::text is null or state = $2)
      order by created_at desc, id desc
      limit $3`,
    [endpointId, state ?? null, limit],
  );
  return rows.map(present);
}

/** What the endpoints of one account were told of these things, oldest first. */
export async function deliveriesAbout(
  db: Db,
  accountId: AccountId,
  subjects: readonly string[],
  limit: number,
): Promise<Delivery[]> {
  const rows = await db.query<DeliveryRow>(
    `select ${DELIVERY_COLUMNS}
       from webhook_deliveries
      where account_id = $1 and subject = any($2) and endpoint_id is not null
      order by created_at, id
      limit $3`,
    [accountId, subjects, limit],
  );
  return rows.map(present);
}

/** What an account was told at addresses that came with its tasks, newest first; before `before` where it is given. */
export async function listDeliveries(
  db: Db,
  accountId: AccountId,
  page: { limit: number; before: DeliveryId | undefined },
): Promise<Delivery[]> {
  const rows = await db.query<DeliveryRow>(
    `select ${DELIVERY_COLUMNS}
       from webhook_deliveries
      where account_id = $1 and endpoint_id is null
        and ($2::text is null
             or (created_at, id) < (select created_at, id from webhook_deliveries where id = $2 and account_id = $1))
      order by created_at desc, id desc
      limit $3`,
    [accountId, page.before ?? null, page.limit],
  );
  return rows.map(present);
}

export type DeliveryTally = Record<DeliveryState, number> & {
  /** Since when the first of those that are not over could have been tried. */
  waitingSince: Date | undefined;
  /** Endpoints that were disabled because they failed for days. */
  disabledEndpoints: number;
};

/** How many deliveries are not over, and how many ended in the last day; each part is counted from an index. */
export async function tallyDeliveries(db: Db, now: Date): Promise<DeliveryTally> {
  const [row] = await db.query<Record<DeliveryState, number> & { since: Date | null; disabled: number }>(
    `with waiting as (
       select count(*) filter (where state = 'pending')::int as pending, count(*) filter (where state = 'failed')::int as failed,
              min(next_attempt_at) filter (where next_attempt_at <= $1) as since
         from webhook_deliveries where ended_at is null),
     over as (
       select count(*) filter (where state = 'delivered')::int as delivered,
              count(*) filter (where state = 'exhausted')::int as exhausted
         from webhook_deliveries where ended_at > $2)
     select waiting.*, over.*,
            (select count(*)::int from webhook_endpoints where disabled_at is not null and removed_at is null) as disabled
       from waiting, over`,
    [now, after(now, -DAY)],
  );
  const { since = null, disabled = 0, ...states } = row ?? { pending: 0, failed: 0, delivered: 0, exhausted: 0 };
  return { ...states, waitingSince: since ?? undefined, disabledEndpoints: disabled };
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
  endpointId: row.endpoint_id,
  eventId: row.event_id,
});
