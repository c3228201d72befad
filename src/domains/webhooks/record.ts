import type { AccountId } from '../../kernel/ids.ts';
import { newId, type Op } from '../../kernel/op.ts';
import type { Database, Db, Tx } from '../../platform/db.ts';
import { followFacts, type Fact } from '../../platform/outbox.ts';
import type { Secrets } from './secrets.ts';
import { insertDelivery } from './store.ts';

const FOLLOWER = 'webhooks';

/** Who is to be told of a fact, and in which words. */
export type Message = { accountId: AccountId; url: string; type: string; payload: unknown };

/** Asked once for each fact, in the order in which they happened. */
export type Subscribers = (db: Db, fact: Fact) => Promise<Message[]>;

/** Makes deliveries of the facts that have happened since the last time. Answers how many facts there were. */
export async function recordNewFacts(
  db: Database,
  secrets: Secrets,
  subscribers: Subscribers,
  op: Op,
): Promise<number> {
  let facts = 0;
  for (let batch = -1; batch !== 0; facts += batch) {
    batch = await followFacts(db, FOLLOWER, async (tx, fact) => {
      for (const message of await subscribers(tx, fact)) await record(tx, secrets, op, fact, message);
    });
  }
  return facts;
}

async function record(tx: Tx, secrets: Secrets, op: Op, fact: Fact, message: Message): Promise<void> {
  const { accountId, url, type, payload } = message;
  await secrets.ensure(tx, op, accountId);
  const host = URL.parse(url)?.host ?? url;
  const body = JSON.stringify(payload);
  await insertDelivery(
    tx,
    { id: newId(op, 'delivery'), accountId, type, subject: fact.subject, url, host, body },
    op.now,
  );
}
