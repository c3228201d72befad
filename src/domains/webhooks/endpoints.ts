import { assert, AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import { newId, secretBytes, type AccountOp, type Op } from '../../kernel/op.ts';
import { DAY, after } from '../../kernel/time.ts';
import { sameSecret } from '../../platform/crypto.ts';
import type { Database, Db, Tx } from '../../platform/db.ts';
import type { OutgoingFetch } from '../../platform/fetch.ts';
import { recordFact } from '../../platform/outbox.ts';
import type { Delivery, DeliveryId, DeliveryState } from './delivery.ts';
import {
  deliveriesTo,
  findDelivery,
  insertDeliveries,
  insertReplays,
  lostSince,
  type NewDelivery,
} from './delivery-store.ts';
import {
  MAX_ENDPOINTS,
  presentEndpointSecret,
  type Endpoint,
  type EndpointSecret,
  type Publication,
} from './endpoint.ts';
import {
  enableEndpoint,
  endpointsOf,
  findEndpoint,
  insertEndpoint,
  lockEndpoint,
  lockEndpoints,
  removeEndpoint,
  writeSecret,
  type EndpointRow,
} from './endpoint-store.ts';
import { endpointVault, isSigning, type Vault } from './secrets.ts';

/** How long the previous secret goes on signing after a rotation. */
const OVERLAP = DAY;
/** Deliveries that one call sends again at the most. */
const MAX_REPLAYED = 1_000;

export type EndpointRequest = { url: string; events: readonly string[] };
export type DeliveryFilter = { state?: DeliveryState | undefined; limit: number };

/**
 * An account's own addresses. Each verb throws `not_found` for an endpoint that is not the caller's, and `invalid` for
 * an address that may not be told.
 */
export type Endpoints = {
  /** Throws `invalid` where the account has as many as it may. */
  add(op: AccountOp, request: EndpointRequest): Promise<Endpoint & EndpointSecret>;
  list(op: AccountOp): Promise<Endpoint[]>;
  get(op: AccountOp, id: string): Promise<Endpoint>;
  remove(op: AccountOp, id: string): Promise<Endpoint>;
  /** Takes up again one that was disabled. */
  enable(op: AccountOp, id: string): Promise<Endpoint>;
  /** Replaces its secret; the previous one signs beside it for a day. */
  rotateSecret(op: AccountOp, id: string): Promise<EndpointSecret>;
  /** Its deliveries, newest first. */
  deliveries(op: AccountOp, id: string, filter: DeliveryFilter): Promise<Delivery[]>;
  /** Tells it of something whatever it wants to be told of: its owner tries it out. */
  send(op: AccountOp, id: string, event: Omit<Publication, 'accountIds'>): Promise<Delivery>;
  /** Sends the event of a delivery once more. */
  replay(op: AccountOp, id: string, deliveryId: string): Promise<Delivery>;
  /** Sends once more what was given up since then, oldest first. Answers how many that were. */
  replayExhausted(op: AccountOp, id: string, since: Date): Promise<number>;
};

type Deps = { db: Database; fetch: Pick<OutgoingFetch, 'urlProblem'>; secret: Uint8Array };

export function createEndpoints({ db, fetch, secret }: Deps): Endpoints {
  const vault = endpointVault(secret);
  const locked = <Result>(op: AccountOp, id: string, work: (tx: Tx, row: EndpointRow) => Promise<Result>) =>
    db.transact(async (tx) => {
      const known = parseId('subscription', id);
      return work(tx, own(op, known && (await lockEndpoint(tx, known))));
    });
  return {
    add: (op, request) => add({ db, fetch, vault }, op, request),
    list: async (op) => (await endpointsOf(db, op.actor.accountId)).map(present),
    get: async (op, id) => present(await ownEndpoint(db, op, id)),
    remove: (op, id) =>
      locked(op, id, async (tx, row) => {
        await removeEndpoint(tx, row.id, op.now);
        await tell(tx, op, 'webhook.removed', row);
        return present(row);
      }),
    enable: (op, id) =>
      locked(op, id, async (tx, row) => {
        if (row.disabled_at) {
          await enableEndpoint(tx, row.id);
          await tell(tx, op, 'webhook.enabled', row);
        }
        return present({ ...row, disabled_at: null, disabled_reason: null, failing_since: null });
      }),
    rotateSecret: (op, id) => locked(op, id, (tx, row) => rotate(vault, tx, op, row)),
    async deliveries(op, id, filter) {
      const endpoint = await ownEndpoint(db, op, id);
      return deliveriesTo(db, endpoint.id, filter);
    },
    send: (op, id, event) => locked(op, id, (tx, row) => send(tx, op, row, event)),
    replay: (op, id, deliveryId) => locked(op, id, (tx, row) => replay(tx, op, row, deliveryId)),
    replayExhausted: (op, id, since) =>
      locked(op, id, async (tx, row) => {
        checkActive(row);
        const lost = await lostSince(tx, row.id, since, MAX_REPLAYED);
        const again = lost.map((deliveryId) => ({ of: deliveryId, as: newId(op, 'delivery', `again ${deliveryId}`) }));
        await insertReplays(tx, again, op.now);
        return again.length;
      }),
  };
}

type Adding = { db: Database; fetch: Deps['fetch']; vault: Vault };

async function add(
  { db, fetch, vault }: Adding,
  op: AccountOp,
  { url, events }: EndpointRequest,
): Promise<Endpoint & EndpointSecret> {
  const problem = fetch.urlProblem(url);
  if (problem) throw new AppError('invalid', `url ${problem}`);
  if (events.length === 0) throw new AppError('invalid', 'events must name at least one');
  const { accountId } = op.actor;
  const id = newId(op, 'subscription');
  const key = secretBytes(op, 'webhook endpoint secret');
  return db.transact(async (tx) => {
    await lockEndpoints(tx, accountId);
    const existing = await endpointsOf(tx, accountId);
    // The same request once more, under its idempotency key.
    if (!existing.some((row) => row.id === id)) {
      if (existing.length >= MAX_ENDPOINTS)
        throw new AppError('invalid', `At most ${MAX_ENDPOINTS} webhooks are allowed`);
      const wanted = { id, accountId, url, events: [...new Set(events)], sealed: vault.close(id, key) };
      await insertEndpoint(tx, wanted, op.now);
      await tell(tx, op, 'webhook.added', { id, account_id: accountId, url });
    }
    const row = await findEndpoint(tx, id);
    assert(row, 'an endpoint that was just made is there');
    return { ...present(row), secret: presentEndpointSecret(key), previousUntil: null };
  });
}

async function rotate(vault: Vault, tx: Tx, op: AccountOp, row: EndpointRow): Promise<EndpointSecret> {
  const next = secretBytes(op, `webhook endpoint secret of ${row.id}`);
  const until = after(op.now, OVERLAP);
  const isRepeated = sameSecret(vault.open(row.id, row.secret), next);
  if (!isRepeated) {
    await writeSecret(tx, row.id, vault.close(row.id, next), op.now, until);
    await tell(tx, op, 'webhook.secret_rotated', row);
  }
  const previousUntil = isRepeated ? (isSigning(row, op.now) ? row.previous_until : null) : until;
  return { secret: presentEndpointSecret(next), previousUntil };
}

async function send(
  tx: Tx,
  op: AccountOp,
  row: EndpointRow,
  event: Omit<Publication, 'accountIds'>,
): Promise<Delivery> {
  checkActive(row);
  const delivery = deliveryTo(op, row, event);
  await insertDeliveries(tx, [delivery], op.now);
  return inserted(tx, delivery.id);
}

async function replay(tx: Tx, op: AccountOp, row: EndpointRow, deliveryId: string): Promise<Delivery> {
  checkActive(row);
  const known = parseId('delivery', deliveryId);
  const earlier = known && (await findDelivery(tx, known));
  if (earlier?.endpointId !== row.id) throw new AppError('not_found', 'Delivery not found');
  const again = newId(op, 'delivery', `again ${earlier.id}`);
  await insertReplays(tx, [{ of: earlier.id, as: again }], op.now);
  return inserted(tx, again);
}

async function inserted(tx: Tx, id: DeliveryId): Promise<Delivery> {
  const delivery = await findDelivery(tx, id);
  assert(delivery, 'a delivery that was just made is there');
  return delivery;
}

const checkActive = ({ disabled_at }: EndpointRow): void => {
  if (disabled_at) throw new AppError('conflict', 'This webhook is disabled: enable it first.');
};

const ownEndpoint = async (db: Db, op: AccountOp, id: string): Promise<EndpointRow> => {
  const known = parseId('subscription', id);
  return own(op, known && (await findEndpoint(db, known)));
};

/** An endpoint of someone else does not exist for the caller. */
function own(op: AccountOp, row: EndpointRow | undefined): EndpointRow {
  if (row?.account_id !== op.actor.accountId) throw new AppError('not_found', 'Webhook not found');
  return row;
}

/** What an endpoint is told of an event. */
export function deliveryTo(
  op: Op,
  { id: endpointId, account_id: accountId, url }: Pick<EndpointRow, 'id' | 'account_id' | 'url'>,
  { type, subject, eventId, payload }: Omit<Publication, 'accountIds'>,
): NewDelivery {
  const id = newId(op, 'delivery', `${eventId} to ${endpointId}`);
  return { id, accountId, type, subject, url, body: JSON.stringify(payload), endpoint: { id: endpointId, eventId } };
}

const tell = (
  tx: Tx,
  op: Op,
  type: string,
  { id, account_id: accountId, url }: Pick<EndpointRow, 'id' | 'account_id' | 'url'>,
): Promise<void> => recordFact(tx, op, { type, subject: id, accountId, data: { url } });

const present = (row: EndpointRow): Endpoint => ({
  id: row.id,
  accountId: row.account_id,
  url: row.url,
  events: row.events,
  failingSince: row.failing_since,
  disabled: row.disabled_at && { at: row.disabled_at, reason: row.disabled_reason ?? '' },
  createdAt: row.created_at,
});
