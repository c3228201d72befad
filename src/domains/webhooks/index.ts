import type { Op, AccountOp } from '../../kernel/op.ts';
import { pageOf, type Page } from '../../kernel/page.ts';
import { after, type Clock } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import type { OutgoingFetch } from '../../platform/fetch.ts';
import { deleteEndedBefore } from './attempt-store.ts';
import { deliverDue } from './deliver.ts';
import { KEPT_FOR, type Delivery, type DeliveryId } from './delivery.ts';
import { deliveriesAbout, listDeliveries, tallyDeliveries, type DeliveryTally } from './delivery-store.ts';
import { createEndpoints, type Endpoints } from './endpoints.ts';
import { deleteRemovedBefore } from './endpoint-store.ts';
import { recordNewFacts, type Publications, type Subscribers } from './record.ts';
import { accountVault, createSecrets, endpointVault, type WebhookSecret } from './secrets.ts';
import type { SignEvent } from './signing.ts';

export type { Delivery, DeliveryId, DeliveryState } from './delivery.ts';
export type { DeliveryTally } from './delivery-store.ts';
export { WEBHOOK_DISABLED, type Endpoint, type EndpointSecret, type Publication } from './endpoint.ts';
export type { Endpoints } from './endpoints.ts';
export type { Message, Publications, Subscribers } from './record.ts';
export { webhookSweeps } from './jobs.ts';
export type { WebhookSecret } from './secrets.ts';
export type { SignEvent } from './signing.ts';

export type WebhooksOptions = {
  db: Database;
  /** The platform's time: decides what is due. */
  clock: Clock;
  /** The time as receivers know it; stamps signatures. */
  worldClock: Clock;
  fetch: OutgoingFetch;
  /** Master secret of this installation. */
  secret: Uint8Array;
  subscribers: Subscribers;
  /** What endpoints are told of, and how a contract signs it in its own words. */
  publications: Publications;
  signEvent: SignEvent;
};

/** Deliveries of one account that are told about at once. */
const MAX_ABOUT = 200;

/** Tells subscribers what has happened: signed by Standard Webhooks, tried again for almost a day, at least once. */
export type Webhooks = {
  /** What is wrong with a URL to be told at, worded to follow its name; undefined where nothing is. */
  urlProblem(url: string): string | undefined;
  /** The account's signing secret; made now if there was none. */
  secret(op: AccountOp): Promise<WebhookSecret>;
  /** Replaces the account's secret; the previous one signs beside it for a day. */
  rotateSecret(op: AccountOp): Promise<WebhookSecret>;
  /** The account's deliveries, newest first. */
  deliveries(
    op: AccountOp,
    page: { limit: number; before?: DeliveryId | undefined },
  ): Promise<Page<Delivery, DeliveryId>>;
  /** Addresses that accounts have named to be told of kinds of events. */
  endpoints: Endpoints;
  /** What the caller's endpoints were told of these things, oldest first. */
  deliveriesAbout(op: AccountOp, subjects: readonly string[]): Promise<Delivery[]>;
  /** How many deliveries are where, of everybody; for the operator. */
  tally(op: Op): Promise<DeliveryTally>;
  /** Makes deliveries of new facts and carries out what is due. Any number of processes may do so at once. */
  deliverDue(op: Op): Promise<number>;
  /** Removes deliveries that ended long ago. */
  forgetOld(op: Op): Promise<number>;
};

export function createWebhooks(options: WebhooksOptions): Webhooks {
  const { db, fetch, secret } = options;
  const secrets = createSecrets(db, secret);
  const recording = { ...options, secrets };
  const delivering = { ...options, vaults: { account: accountVault(secret), endpoint: endpointVault(secret) } };
  return {
    urlProblem: fetch.urlProblem,
    secret: secrets.current,
    rotateSecret: secrets.rotate,
    async deliveries(op, { limit, before }) {
      const found = await listDeliveries(db, op.actor.accountId, { limit: limit + 1, before });
      return pageOf(found, limit, (delivery) => delivery.id);
    },
    endpoints: createEndpoints(options),
    deliveriesAbout: (op, subjects) => deliveriesAbout(db, op.actor.accountId, subjects, MAX_ABOUT),
    tally: (op) => tallyDeliveries(db, op.now),
    deliverDue: (op) => deliverDue(delivering, op, (current) => recordNewFacts(recording, current)),
    forgetOld: (op) =>
      db.transact(async (tx) => {
        const before = after(op.now, -KEPT_FOR);
        const forgotten = await deleteEndedBefore(tx, before);
        await deleteRemovedBefore(tx, before);
        return forgotten;
      }),
  };
}
