import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Delivery } from '../../src/domains/webhooks/index.ts';
import type { AccountOp } from '../../src/kernel/op.ts';
import { DAY, HOUR, MINUTE, SECOND, after } from '../../src/kernel/time.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { accountOp, systemOp } from '../harness/op.ts';
import { createBellWebhooks, newAccountId, ring, untilHeard } from './bells.ts';
import { startReceiver, type Receiver } from './receiver.ts';

let database: TestDatabase;
let now = new Date();
const clock = { now: () => now };
const receivers: Receiver[] = [];

beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.drop());
afterEach(async () => void (await Promise.all(receivers.splice(0).map((receiver) => receiver.close()))));

const receiver: typeof startReceiver = async (...args) => {
  const started = await startReceiver(...args);
  receivers.push(started);
  return started;
};
const stranger = (): AccountOp => accountOp(newAccountId(systemOp()), { now });
const webhooks = (timeLimitMs?: number) => createBellWebhooks(database.db, clock, timeLimitMs);
const deliver = (timeLimitMs?: number) => webhooks(timeLimitMs).deliverDue(systemOp(now));
const log = async (op: AccountOp): Promise<Delivery[]> => (await webhooks().deliveries(op, { limit: 100 })).rows;
const ringFor = async (op: AccountOp, url: string, bell = 1): Promise<void> => {
  await ring(database.db, { ...op, now }, op.actor.accountId, url, bell);
  await untilHeard(database.db);
};

describe('a delivery', () => {
  test('carries the payload, and the library of Standard Webhooks accepts its signature', async () => {
    const { url, arrivals } = await receiver((reply) => void reply.writeHead(204).end());
    const op = stranger();
    await ringFor(op, `${url}/hook`, 5);
    expect(await deliver()).toBe(1);
    const { secret } = await webhooks().secret(op);
    const [arrival] = arrivals;
    expect(new Webhook(secret).verify(arrival?.body ?? '', arrival?.headers as Record<string, string>)).toEqual({
      bell: 5,
    });
    expect(arrival).toMatchObject({ path: '/hook', headers: { 'content-type': 'application/json' } });
    expect(await log(op)).toMatchObject([
      { id: arrival?.id, type: 'bell.rung', subject: 'bell-5', state: 'delivered', attempts: 1, lastResponseCode: 204 },
    ]);
  });

  test('is signed with the time of the world, wherever the platform’s clock is', async () => {
    const { url, arrivals } = await receiver((reply) => void reply.end());
    now = after(now, 7 * DAY);
    const op = stranger();
    await ringFor(op, url);
    await deliver();
    const { secret } = await webhooks().secret(op);
    const [arrival] = arrivals;
    const verified = new Webhook(secret).verify(arrival?.body ?? '', arrival?.headers as Record<string, string>);
    expect(verified).toEqual({ bell: 1 });
  });

  test('is made once for each fact, however many look at once', async () => {
    const { url, arrivals } = await receiver((reply) => void reply.end());
    const op = stranger();
    for (let bell = 0; bell < 20; bell++) await ringFor(op, url, bell);
    const made = await Promise.all([deliver(), deliver(), deliver()]);
    while ((await deliver()) > 0);
    expect(made.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(20);
    expect(arrivals.map(({ body }) => body).toSorted()).toEqual(
      Array.from({ length: 20 }, (_, bell) => JSON.stringify({ bell })).toSorted(),
    );
  });

  test('is tried again later under the same id and with the same body until it is taken', async () => {
    const { url, arrivals } = await receiver(
      (reply, _arrival, count) => void reply.writeHead(count < 3 ? 500 : 200).end(),
    );
    const op = stranger();
    await ringFor(op, url);
    await deliver();
    expect(await log(op)).toMatchObject([
      { state: 'failed', attempts: 1, lastResponseCode: 500, lastError: 'status 500' },
    ]);
    expect(await deliver()).toBe(0);
    now = after(now, 5 * SECOND);
    await deliver();
    now = after(now, 30 * SECOND);
    await deliver();
    expect(await log(op)).toMatchObject([{ state: 'delivered', attempts: 3, lastError: null, nextAttemptAt: null }]);
    expect(new Set(arrivals.map(({ id, body }) => `${id} ${body}`)).size).toBe(1);
    expect(arrivals).toHaveLength(3);
  });

  test('is given up after almost a day', async () => {
    const { url, arrivals } = await receiver((reply) => void reply.destroy());
    const op = stranger();
    await ringFor(op, url);
    for (let tries = 0; tries < 30; tries++) {
      await deliver();
      now = after(now, 2 * HOUR);
    }
    expect(await log(op)).toMatchObject([
      { state: 'exhausted', attempts: 11, lastError: 'reset', lastResponseCode: null },
    ]);
    expect(arrivals).toHaveLength(11);
  });

  test('ends at a receiver that is gone for good', async () => {
    const { url, arrivals } = await receiver((reply) => void reply.writeHead(410).end());
    const op = stranger();
    await ringFor(op, url);
    await deliver();
    now = after(now, HOUR);
    await deliver();
    expect(await log(op)).toMatchObject([{ state: 'exhausted', attempts: 1, lastResponseCode: 410 }]);
    expect(arrivals).toHaveLength(1);
  });

  test('to an address that is none is told as such and tries nothing', async () => {
    const op = stranger();
    await ringFor(op, 'not a url');
    await deliver();
    expect(await log(op)).toMatchObject([{ state: 'exhausted', lastError: 'invalid_url' }]);
  });

  test('leaves a fact of what became of it', async () => {
    const { url } = await receiver((reply, _arrival, count) => void reply.writeHead(count === 1 ? 503 : 200).end());
    const op = stranger();
    await ringFor(op, url);
    await deliver();
    now = after(now, MINUTE);
    await deliver();
    const [delivery] = await log(op);
    const facts = await database.db.query(`select type, data from facts where subject = $1 order by seq`, [
      delivery?.id,
    ]);
    expect(facts).toEqual([
      { type: 'delivery.failed', data: { attempt: 1, response_code: 503, error: 'status 503' } },
      { type: 'delivery.delivered', data: { attempt: 2, response_code: 200, error: null } },
    ]);
  });

  test('is in the log of its own account only', async () => {
    const { url } = await receiver((reply) => void reply.end());
    const [mine, others] = [stranger(), stranger()];
    for (let bell = 1; bell <= 3; bell++) await ringFor(mine, url, bell);
    await ringFor(others, url);
    await deliver();
    const first = await webhooks().deliveries(mine, { limit: 2 });
    const second = await webhooks().deliveries(mine, { limit: 2, before: first.next });
    expect([...first.rows, ...second.rows].map(({ subject }) => subject).toSorted()).toEqual([
      'bell-1',
      'bell-2',
      'bell-3',
    ]);
    expect(second.next).toBeUndefined();
    const [foreign] = await log(others);
    expect((await webhooks().deliveries(mine, { limit: 9, before: foreign?.id })).rows).toEqual([]);
  });

  test('is forgotten a month after its end, and not before', async () => {
    const { url } = await receiver((reply) => void reply.end());
    const op = stranger();
    await ringFor(op, url);
    await deliver();
    await webhooks().forgetOld(systemOp(after(now, 29 * DAY)));
    expect(await log(op)).toHaveLength(1);
    await webhooks().forgetOld(systemOp(after(now, 30 * DAY)));
    expect(await log(op)).toHaveLength(0);
  });
});

describe('a receiver that does not answer', () => {
  const TIME_LIMIT = 2_000;

  test('is not sent more than a few requests at once, and holds up no other receiver', async () => {
    const silent = await receiver(() => {});
    const quick = await receiver((reply) => void reply.end());
    const [slow, other] = [stranger(), stranger()];
    for (let bell = 0; bell < 40; bell++) await ringFor(slow, silent.url, bell);
    const running = deliver(TIME_LIMIT);
    await expect.poll(() => silent.underWay(), { timeout: 20_000 }).toBe(8);
    await ringFor(other, quick.url);
    await expect.poll(() => quick.arrivals.length, { timeout: 20_000, interval: 20 }).toBe(1);
    expect(silent.underWay()).toBeGreaterThan(0);
    await running;
    expect(silent.peak()).toBe(8);
    expect(silent.arrivals).toHaveLength(40);
  });

  test('cannot take all places by having many hosts: accounts take turns', async () => {
    const hosts = await Promise.all(Array.from({ length: 6 }, (_, n) => receiver(() => {}, `127.0.0.${n + 2}`)));
    const quick = await receiver((reply) => void reply.end());
    const [slow, other] = [stranger(), stranger()];
    for (const { url } of hosts) for (let bell = 0; bell < 8; bell++) await ringFor(slow, url, bell);
    await ringFor(other, quick.url);
    const held = () => hosts.reduce((sum, host) => sum + host.underWay(), 0);
    const running = deliver(TIME_LIMIT);
    await expect.poll(held, { timeout: 20_000 }).toBe(16);
    await expect.poll(() => quick.arrivals.length, { timeout: 20_000, interval: 20 }).toBe(1);
    await running;
    expect((await log(slow)).every(({ state, lastError }) => state === 'failed' && lastError === 'timeout')).toBe(true);
  });

  test('loses an attempt whose lease has run out to another one, and its late end changes nothing', async () => {
    const { url, arrivals } = await receiver(
      (reply, _arrival, count) => void (count > 1 && reply.writeHead(200).end()),
    );
    const op = stranger();
    await ringFor(op, url);
    const stuck = deliver(TIME_LIMIT);
    await expect.poll(() => arrivals.length, { timeout: 20_000 }).toBe(1);
    expect(await deliver()).toBe(0);
    now = after(now, 31 * SECOND);
    await deliver();
    await expect.poll(() => arrivals.length, { timeout: 20_000 }).toBe(2);
    await stuck;
    expect(await log(op)).toMatchObject([{ state: 'delivered', attempts: 2, lastResponseCode: 200 }]);
  });

  test('gives its delivery back uncounted when the worker is told to stop', async () => {
    const silent = await receiver(() => {});
    const op = stranger();
    await ringFor(op, silent.url);
    const stop = new AbortController();
    const running = webhooks().deliverDue({ ...systemOp(now), signal: stop.signal });
    await expect.poll(() => silent.underWay(), { timeout: 20_000 }).toBe(1);
    stop.abort();
    await running;
    expect(await log(op)).toMatchObject([{ state: 'pending', attempts: 0 }]);
  });
});
