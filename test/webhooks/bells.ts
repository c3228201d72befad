import { setTimeout as sleep } from 'node:timers/promises';
import { newId, type Op } from '../../src/kernel/op.ts';
import type { AccountId } from '../../src/kernel/ids.ts';
import type { Clock } from '../../src/kernel/time.ts';
import {
  createWebhooks,
  type Publications,
  type Subscribers,
  type Webhooks,
} from '../../src/domains/webhooks/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import type { Database } from '../../src/platform/db.ts';
import { createFetch } from '../../src/platform/fetch.ts';
import { recordFact, recordFacts } from '../../src/platform/outbox.ts';

/** The facts of these tests: a bell was rung, and whoever its data names is told. */
export const bellSubscribers: Subscribers = async (_db, fact) =>
  fact.type === 'bell.rung' && fact.accountId
    ? [
        {
          accountId: fact.accountId,
          url: String(fact.data['url']),
          type: fact.type,
          payload: { bell: fact.data['bell'] },
        },
      ]
    : [];

/** Gongs are for the endpoints of their account. */
const bellPublications: Publications = async (_db, facts) =>
  facts.flatMap(({ id, type, subject, accountId, data }) =>
    type === 'gong.struck' && accountId
      ? [{ accountIds: [accountId], type, subject, eventId: `evt_${id}`, payload: data }]
      : [],
  );

export const SERVER_SECRET = Buffer.alloc(32, 7);

export const createBellWebhooks = (db: Database, clock: Clock, timeLimitMs?: number): Webhooks =>
  createWebhooks({
    db,
    clock,
    worldClock: systemClock,
    fetch: createFetch({ privateAddresses: 'loopback', timeLimitMs }),
    secret: SERVER_SECRET,
    subscribers: bellSubscribers,
    publications: bellPublications,
    signEvent: ({ type }, secrets) => ({ 'x-event': type, 'x-secrets': secrets.join(' ') }),
  });

export const newAccountId = (op: Op): AccountId => newId(op, 'account');

/** Rings a bell: `url` shall be told. */
export async function ring(db: Database, op: Op, accountId: AccountId, url: string, bell: number): Promise<void> {
  const fact = { type: 'bell.rung', subject: `bell-${bell}`, accountId, data: { url, bell } };
  await db.transact((tx) => recordFact(tx, op, fact));
}

/** Strikes gongs: the endpoints of the account that want to know shall be told. */
export async function strike(db: Database, op: Op, accountId: AccountId, ...gongs: number[]): Promise<void> {
  const facts = gongs.map((gong) => ({ type: 'gong.struck', subject: `gong-${gong}`, accountId, data: { gong } }));
  await db.transact((tx) => recordFacts(tx, op, facts));
}

/**
 * Waits until followers may read every fact. Older transactions of other tests hold them back, because transaction ids
 * belong to the whole PostgreSQL and not to one database.
 */
export async function untilHeard(db: Database): Promise<void> {
  const held = `select 1 from facts where xid >= pg_snapshot_xmin(pg_current_snapshot()) limit 1`;
  while ((await db.query(held)).length > 0) await sleep(10);
}
