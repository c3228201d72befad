import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AccountId } from '../../src/kernel/ids.ts';
import { startApis, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { startReceiver, type Receiver } from './receiver.ts';
import { createBellWebhooks, ring, untilHeard } from './bells.ts';

let world: TestApis;
let receiver: Receiver;
beforeAll(async () => {
  world = await startApis();
  receiver = await startReceiver((reply) => void reply.writeHead(503).end());
});
afterAll(async () => {
  await world.close();
  await receiver.close();
});

test('the secret is shown, stays, and can be replaced once for one idempotency key', async () => {
  const { key } = await world.register();
  const first = await world.call('GET', '/v1/account/webhook-secret', { key });
  expect(first).toMatchObject({
    status: 200,
    body: { secret: expect.stringMatching(/^whsec_/), previous_valid_until: null },
  });
  expect((await world.call('GET', '/v1/account/webhook-secret', { key })).body).toEqual(first.body);
  const rotate = () =>
    world.call('POST', '/v1/account/webhook-secret/rotate', { key, headers: { 'idempotency-key': 'once' } });
  const [rotated, again] = [await rotate(), await rotate()];
  expect(rotated.body.secret).not.toBe(first.body.secret);
  expect(rotated.body.previous_valid_until).toMatch(/^\d{4}-/);
  expect(again.body).toEqual(rotated.body);
});

test('deliveries are listed page by page, with what came of them, to their account only', async () => {
  const [mine, other] = [await world.register(), await world.register()];
  const accountId = mine.accountId as AccountId;
  for (let bell = 1; bell <= 3; bell++) await ring(world.db, systemOp(), accountId, receiver.url, bell);
  await untilHeard(world.db);
  await createBellWebhooks(world.db, world.clock).deliverDue(systemOp());
  const list = (key: string, query: string) => world.call('GET', `/v1/account/webhook-deliveries?${query}`, { key });
  const first = await list(mine.key, 'limit=2');
  expect(first.body).toMatchObject({ has_more: true, next_cursor: expect.stringMatching(/^msg_/) });
  expect(first.body.deliveries[0]).toMatchObject({
    type: 'bell.rung',
    status: 'failed',
    attempts: 1,
    last_response_code: 503,
    last_error: 'status 503',
    ended_at: null,
  });
  const second = await list(mine.key, `limit=2&before=${first.body.next_cursor}`);
  expect(second.body).toMatchObject({ has_more: false, next_cursor: null });
  const subjects = new Set([...first.body.deliveries, ...second.body.deliveries].map(({ subject }) => subject));
  expect(subjects).toEqual(new Set(['bell-1', 'bell-2', 'bell-3']));
  expect((await list(other.key, '')).body.deliveries).toEqual([]);
  expect((await list(other.key, `before=${first.body.next_cursor}`)).body.deliveries).toEqual([]);
  expect((await list(mine.key, 'before=nonsense')).status).toBe(400);
});
