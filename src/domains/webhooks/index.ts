import type { Op, AccountOp } from '../../kernel/op.ts';
import { pageOf, type Page } from '../../kernel/page.ts';
import { after, type Clock } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import type { OutgoingFetch } from '../../platform/fetch.ts';
import { deliverDue } from './deliver.ts';
import { KEPT_FOR, type Delivery, type DeliveryId } from './delivery.ts';
import { recordNewFacts, type Subscribers } from './record.ts';
import { createSecrets, type WebhookSecret } from './secrets.ts';
import { deleteEndedBefore, listDeliveries } from './store.ts';

export type { Delivery, DeliveryId, DeliveryState } from './delivery.ts';
export type { Message, Subscribers } from './record.ts';
export { webhookSweeps } from './jobs.ts';
export type { WebhookSecret } from './secrets.ts';

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
};

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
  /** Makes deliveries of new facts and carries out what is due. Any number of processes may do so at once. */
  deliverDue(op: Op): Promise<number>;
  /** Removes deliveries that ended long ago. */
  forgetOld(op: Op): Promise<number>;
};

export function createWebhooks(options: WebhooksOptions): Webhooks {
  const { db, fetch, subscribers } = options;
  const secrets = createSecrets(db, options.secret);
  const delivering = { ...options, secrets };
  return {
    urlProblem: fetch.urlProblem,
    secret: secrets.current,
    rotateSecret: secrets.rotate,
    async deliveries(op, { limit, before }) {
      const found = await listDeliveries(db, op.actor.accountId, { limit: limit + 1, before });
      return pageOf(found, limit, (delivery) => delivery.id);
    },
    deliverDue: (op) => deliverDue(delivering, op, (current) => recordNewFacts(db, secrets, subscribers, current)),
    forgetOld: (op) => db.transact((tx) => deleteEndedBefore(tx, after(op.now, -KEPT_FOR))),
  };
}
