import type { AccountId } from '../../kernel/ids.ts';
import { newId, type Op } from '../../kernel/op.ts';
import type { Database, Db, Tx } from '../../platform/db.ts';
import { followFactBatches, type Fact } from '../../platform/outbox.ts';
import { insertDeliveries, type NewDelivery } from './delivery-store.ts';
import type { Publication } from './endpoint.ts';
import { deliveryTo } from './endpoints.ts';
import { wanting } from './endpoint-store.ts';
import type { Secrets } from './secrets.ts';

const FOLLOWER = 'webhooks';

/** Who is to be told of a fact, and in which words. */
export type Message = { accountId: AccountId; url: string; type: string; payload: unknown };

/** Asked once for each fact, in the order in which they happened. */
export type Subscribers = (db: Db, fact: Fact) => Promise<Message[]>;

/** What of these facts endpoints may be told, in the order in which they happened. */
export type Publications = (db: Db, facts: readonly Fact[]) => Promise<Publication[]>;

export type Recording = {
  db: Database;
  secrets: Pick<Secrets, 'ensure'>;
  subscribers: Subscribers;
  publications: Publications;
};

/** Makes deliveries of the facts that have happened since the last time. Answers how many facts there were. */
export async function recordNewFacts({ db, ...recording }: Recording, op: Op): Promise<number> {
  let facts = 0;
  for (let batch = -1; batch !== 0; facts += batch)
    batch = await followFactBatches(db, FOLLOWER, (tx, found) => record(tx, recording, op, found));
  return facts;
}

async function record(
  tx: Tx,
  { secrets, subscribers, publications }: Omit<Recording, 'db'>,
  op: Op,
  facts: readonly Fact[],
): Promise<void> {
  const deliveries: NewDelivery[] = [];
  for (const fact of facts) {
    for (const { accountId, url, type, payload } of await subscribers(tx, fact)) {
      await secrets.ensure(tx, op, accountId);
      const body = JSON.stringify(payload);
      deliveries.push({ id: newId(op, 'delivery'), accountId, type, subject: fact.subject, url, body });
    }
  }
  deliveries.push(...(await toEndpoints(tx, op, await publications(tx, facts))));
  await insertDeliveries(tx, deliveries, op.now);
}

/** One delivery for each event and endpoint that wants it. */
async function toEndpoints(tx: Tx, op: Op, published: readonly Publication[]): Promise<NewDelivery[]> {
  if (published.length === 0) return [];
  const accounts = new Set(published.flatMap(({ accountIds }) => accountIds));
  const types = new Set(published.map(({ type }) => type));
  const endpoints = await wanting(tx, [...accounts], [...types]);
  return published.flatMap((event) =>
    endpoints
      .filter(({ account_id, events }) => event.accountIds.includes(account_id) && events.includes(event.type))
      .map((endpoint) => deliveryTo(op, endpoint, event)),
  );
}
