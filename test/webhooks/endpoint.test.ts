import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { AccountOp } from '../../src/kernel/op.ts';
import { DAY, HOUR, MINUTE, after } from '../../src/kernel/time.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { accountOp, systemOp } from '../harness/op.ts';
import { createBellWebhooks, newAccountId, strike, untilHeard } from './bells.ts';
import { startReceiver, type Receiver } from './receiver.ts';

let database: TestDatabase;
let now = new Date();
const receivers: Receiver[] = [];

beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.drop());
afterEach(async () => void (await Promise.all(receivers.splice(0).map((receiver) => receiver.close()))));

const receiver = async (behave: Parameters<typeof startReceiver>[0] = (reply) => void reply.end()) => {
  const started = await startReceiver(behave);
  receivers.push(started);
  return started;
};
const webhooks = () => createBellWebhooks(database.db, { now: () => now });
const endpoints = () => webhooks().endpoints;
const stranger = (): AccountOp => accountOp(newAccountId(systemOp()), { now });
const at = (op: AccountOp): AccountOp => ({ ...op, now });
const deliver = () => webhooks().deliverDue(systemOp(now));
const strikeFor = async (op: AccountOp, gong = 1): Promise<void> => {
  await strike(database.db, at(op), op.actor.accountId, gong);
  await untilHeard(database.db);
};
const log = (op: AccountOp, id: string) => endpoints().deliveries(at(op), id, { limit: 100 });
const GONGS = ['gong.struck'];

describe('an endpoint', () => {
  test('is told of what it wants to be told of, and of nothing else or of anybody else’s', async () => {
    const { url, arrivals } = await receiver();
    const [op, other] = [stranger(), stranger()];
    const wanting = await endpoints().add(op, { url: `${url}/gongs`, events: GONGS });
    await endpoints().add(op, { url: `${url}/drums`, events: ['drum.beaten'] });
    await endpoints().add(other, { url: `${url}/others`, events: GONGS });
    await strikeFor(op, 7);
    await deliver();
    expect(arrivals.map(({ path, body }) => [path, body])).toEqual([['/gongs', '{"gong":7}']]);
    expect(await log(op, wanting.id)).toMatchObject([
      { type: 'gong.struck', state: 'delivered', attempts: 1, endpointId: wanting.id },
    ]);
  });

  test('verifies messages with its own secret by the library of Standard Webhooks and by its contract’s headers', async () => {
    const { url, arrivals } = await receiver();
    const op = stranger();
    const { secret } = await endpoints().add(op, { url, events: GONGS });
    expect(secret).toMatch(/^whsec_[0-9a-f]{64}$/);
    await strikeFor(op);
    await deliver();
    const [arrival] = arrivals;
    expect(new Webhook(secret).verify(arrival?.body ?? '', arrival?.headers as Record<string, string>)).toEqual({
      gong: 1,
    });
    expect(arrival?.headers).toMatchObject({ 'x-secrets': secret, 'x-event': 'gong.struck' });
  });

  test('signs with both secrets for a day after a rotation', async () => {
    const { url, arrivals } = await receiver();
    const op = stranger();
    const { id, secret: before } = await endpoints().add(op, { url, events: GONGS });
    const { secret: current, previousUntil } = await endpoints().rotateSecret(at(op), id);
    expect(previousUntil).toEqual(after(now, DAY));
    await strikeFor(op);
    await deliver();
    now = after(now, DAY);
    await strikeFor(op);
    await deliver();
    expect(arrivals.map(({ headers }) => headers['x-secrets'])).toEqual([`${current} ${before}`, current]);
  });

  test('is one of five at the most, however many are added at once', async () => {
    const op = stranger();
    const added = await Promise.allSettled(
      Array.from({ length: 9 }, () => endpoints().add(op, { url: 'https://example.com/hook', events: GONGS })),
    );
    expect(added.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
    const [first] = await endpoints().list(op);
    await endpoints().remove(op, first?.id ?? '');
    await expect(endpoints().add(op, { url: 'https://example.com', events: GONGS })).resolves.toBeDefined();
  });

  test.each(['https://10.0.0.1', 'https://[fd00::1]', 'https://169.254.169.254', 'nonsense'])(
    'is never at %s',
    async (url) => {
      await expect(endpoints().add(stranger(), { url, events: GONGS })).rejects.toMatchObject({ code: 'invalid' });
    },
  );

  test('does not exist for anybody else', async () => {
    const [op, other] = [stranger(), stranger()];
    const { id } = await endpoints().add(op, { url: 'https://example.com', events: GONGS });
    const { get, remove, rotateSecret, deliveries, replayExhausted } = endpoints();
    const tries = [get, remove, rotateSecret].map((verb) => verb(other, id));
    tries.push(deliveries(other, id, { limit: 1 }) as never, replayExhausted(other, id, new Date(0)) as never);
    const outcomes = await Promise.allSettled(tries);
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual(
      outcomes.map(() => 'not_found'),
    );
  });

  test('is told nothing more when it has been removed, not even what was waiting', async () => {
    const { url, arrivals } = await receiver((reply) => void reply.writeHead(500).end());
    const op = stranger();
    const { id } = await endpoints().add(op, { url, events: GONGS });
    await strikeFor(op);
    await deliver();
    await endpoints().remove(at(op), id);
    await strikeFor(op);
    now = after(now, MINUTE);
    await deliver();
    expect(arrivals).toHaveLength(1);
    await expect(log(op, id)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('can be tried out whatever it wants to be told of', async () => {
    const { url, arrivals } = await receiver();
    const op = stranger();
    const { id } = await endpoints().add(op, { url, events: GONGS });
    await endpoints().send(op, id, { type: 'try', subject: id, eventId: 'evt_try', payload: { tried: true } });
    await deliver();
    expect(arrivals).toMatchObject([{ id: 'evt_try', body: '{"tried":true}' }]);
  });
});

describe('a delivery to an endpoint', () => {
  test('is given up after four tries in 36 minutes, and replayed under the same event id', async () => {
    let isDown = true;
    const { url, arrivals } = await receiver((reply) => void reply.writeHead(isDown ? 503 : 200).end());
    const op = stranger();
    const { id } = await endpoints().add(op, { url, events: GONGS });
    await strikeFor(op);
    await deliver();
    for (const minutes of [1, 5, 30, 60]) {
      now = after(now, minutes * MINUTE);
      await deliver();
    }
    const [lost] = await log(op, id);
    expect(lost).toMatchObject({ state: 'exhausted', attempts: 4, lastResponseCode: 503 });
    isDown = false;
    const again = await endpoints().replay(at(op), id, lost?.id ?? '');
    expect(again).toMatchObject({ state: 'pending', attempts: 0, eventId: lost?.eventId });
    await deliver();
    expect((await log(op, id)).map(({ state }) => state)).toEqual(['delivered', 'exhausted']);
    expect(new Set(arrivals.map(({ id: eventId, body }) => eventId + body)).size).toBe(1);
  });

  test('that was lost is replayed with all others that were, once', async () => {
    let isDown = true;
    const { url, arrivals } = await receiver((reply) => void reply.writeHead(isDown ? 410 : 200).end());
    const op = stranger();
    const { id } = await endpoints().add(op, { url, events: GONGS });
    for (const gong of [1, 2, 3]) await strikeFor(op, gong);
    await deliver();
    isDown = false;
    expect(await endpoints().replayExhausted(at(op), id, after(now, -HOUR))).toBe(3);
    expect(await endpoints().replayExhausted(at(op), id, after(now, -HOUR))).toBe(0);
    await deliver();
    expect(await endpoints().replayExhausted(at(op), id, after(now, -HOUR))).toBe(0);
    expect(arrivals).toHaveLength(6);
  });

  test('is not in the log of what tasks told', async () => {
    const { url } = await receiver();
    const op = stranger();
    await endpoints().add(op, { url, events: GONGS });
    await strikeFor(op);
    await deliver();
    expect((await webhooks().deliveries(op, { limit: 10 })).rows).toEqual([]);
    expect(await webhooks().deliveriesAbout(op, ['gong-1'])).toMatchObject([{ subject: 'gong-1', state: 'delivered' }]);
  });
});

describe('an endpoint that fails for days', () => {
  const disabled = async () => {
    let isDown = true;
    const down = await receiver((reply) => void reply.writeHead(isDown ? 500 : 200).end());
    const op = stranger();
    const { id } = await endpoints().add(op, { url: down.url, events: GONGS });
    for (let days = 0; days < 4; days++) {
      await strikeFor(op, days);
      await deliver();
      now = after(now, DAY);
    }
    return { op, id, down, comeBack: () => void (isDown = false) };
  };

  test('is disabled with a reason and a fact, and what waits for it is given up', async () => {
    const { op, id, down } = await disabled();
    expect(await endpoints().get(op, id)).toMatchObject({
      disabled: { reason: 'every delivery has failed for 3 days' },
    });
    const tried = down.arrivals.length;
    await strikeFor(op, 9);
    await deliver();
    expect(down.arrivals).toHaveLength(tried);
    expect((await log(op, id)).every(({ state }) => state === 'exhausted')).toBe(true);
    const facts = await database.db.query(`select type from facts where subject = $1 order by seq`, [id]);
    expect(facts).toEqual([{ type: 'webhook.added' }, { type: 'webhook.disabled' }]);
  });

  test('is taken up again by its account, with what it missed', async () => {
    const { op, id, comeBack } = await disabled();
    await expect(endpoints().replayExhausted(at(op), id, new Date(0))).rejects.toMatchObject({ code: 'conflict' });
    comeBack();
    expect(await endpoints().enable(at(op), id)).toMatchObject({ disabled: null, failingSince: null });
    expect(await endpoints().replayExhausted(at(op), id, new Date(0))).toBe(4);
    await deliver();
    expect((await log(op, id)).filter(({ state }) => state === 'delivered')).toHaveLength(4);
  });

  test('is not disabled where one delivery succeeded meanwhile', async () => {
    const { url } = await receiver((reply, _arrival, count) => void reply.writeHead(count === 5 ? 200 : 500).end());
    const op = stranger();
    const { id } = await endpoints().add(op, { url, events: GONGS });
    for (let days = 0; days < 4; days++) {
      await strikeFor(op, days);
      await deliver();
      now = after(now, HOUR);
      await deliver();
      now = after(now, DAY - HOUR);
    }
    expect(await endpoints().get(op, id)).toMatchObject({ disabled: null });
  });
});
