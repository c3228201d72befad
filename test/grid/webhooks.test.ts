import { createHmac } from 'node:crypto';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { Webhook } from 'standardwebhooks';
import { startApis } from '../harness/apis.ts';
import { testServer } from '../harness/server.ts';
import { systemOp } from '../harness/op.ts';
import { startReceiver, type Arrival } from '../webhooks/receiver.ts';
import { untilHeard } from '../webhooks/bells.ts';
import { registerNode, type TestNode } from './node.ts';
import { complete, delivered, HOUR_MS, must, ordered, sweep } from './trades.ts';

const SEVEN = [
  'task.created',
  'task.completed',
  'escrow.settled',
  'escrow.disputed',
  'escrow.refunded',
  'skill.purchased',
  'bounty.submission_won',
];
const world = await startApis();
let status = 200;
const receiver = await startReceiver((reply) => void reply.writeHead(status).end());
afterAll(async () => {
  await world.close();
  await receiver.close();
});
beforeEach(() => {
  status = 200;
  receiver.arrivals.length = 0;
});

const subscribe = async (node: TestNode, events = SEVEN) =>
  must(await node.call('POST', '/v1/webhooks', { url: `${receiver.url}/${node.id}`, events }));

/** Everything that happened until now is told. */
async function told(): Promise<void> {
  await untilHeard(world.db);
  const op = systemOp(world.clock.now());
  while ((await world.webhooks.deliverDue(op)) > 0);
}

const arrivedAt = (node: TestNode): Arrival[] => receiver.arrivals.filter(({ path }) => path === `/${node.id}`);
const typesAt = (node: TestNode): string[] => arrivedAt(node).map(({ body }) => JSON.parse(body).type);

test('both sides of a trade are told of all that happens to it, signed in both ways, and its receipt says so', async () => {
  const { buyer, seller, taskId, skillId } = await ordered(world);
  const { secret, active, verification_example: example } = await subscribe(seller);
  await subscribe(buyer);
  expect([active, secret]).toEqual([true, expect.stringMatching(/^whsec_[0-9a-f]{64}$/)]);
  expect(example).toContain('hmac');
  must(await complete(seller, taskId));
  world.clock.advance(24 * HOUR_MS);
  await sweep(world);
  const second = must(await buyer.call('POST', '/v1/tasks/create', { skill_id: skillId, input_data: {} }));
  await told();
  expect(typesAt(seller).toSorted()).toEqual(
    expect.arrayContaining(['escrow.settled', 'skill.purchased', 'task.created']),
  );
  expect(typesAt(buyer)).toEqual(expect.arrayContaining(['task.completed', 'escrow.settled']));
  const ofSecond = arrivedAt(seller).filter(({ body: text }) => text.includes(second.task_id));
  const purchased = ofSecond.find(({ body: text }) => JSON.parse(text).type === 'skill.purchased');
  if (!purchased) throw new Error('nobody was told of the purchase');
  const { headers, body } = purchased;
  expect(JSON.parse(body)).toEqual({
    id: expect.stringMatching(/^evt_[0-9a-f]{24}$/),
    type: 'skill.purchased',
    created_at: expect.stringMatching(/Z$/),
    data: { task_id: second.task_id, skill_id: skillId },
  });
  expect(headers['x-botnode-signature']).toBe(
    createHmac('sha256', secret)
      .update(`${String(headers['x-botnode-timestamp'])}.${body}`)
      .digest('hex'),
  );
  expect([headers['x-botnode-event'], headers['user-agent']]).toEqual(['skill.purchased', 'BotNode-Webhooks/1.0']);
  // The library's own `verify` would ask a clock that has not been moved.
  const sentAt = new Date(Number(headers['webhook-timestamp']) * 1_000);
  expect(headers['webhook-signature']).toBe(new Webhook(secret).sign(String(headers['webhook-id']), sentAt, body));
  const receipt = must(await buyer.call('GET', `/v1/tasks/${taskId}/receipt`));
  expect(receipt.webhooks).toEqual(
    expect.arrayContaining([expect.objectContaining({ event: 'escrow.settled', status: 'delivered', attempts: 1 })]),
  );
});

test('a dispute, a refund and a won bounty are told', async () => {
  const trade = await delivered(world);
  await subscribe(trade.seller);
  must(await trade.buyer.call('POST', '/v1/tasks/dispute', { task_id: trade.taskId, reason: 'Not what I wanted' }));
  await ordered(world, {}, {}, trade);
  world.clock.advance(73 * HOUR_MS);
  await sweep(world);
  const bounty = { title: 'A bounty', description: 'Something to do', reward_tck: 10, category: 'code' };
  const { bounty_id: id } = must(await trade.buyer.call('POST', '/v1/bounties', bounty));
  const path = `/v1/bounties/${id}`;
  const work = { content: 'Here it is, done' };
  const { submission_id: submission } = must(await trade.seller.call('POST', `${path}/submissions`, work));
  must(await trade.buyer.call('POST', `${path}/award`, { submission_id: submission }));
  await told();
  expect(typesAt(trade.seller)).toEqual(
    expect.arrayContaining(['escrow.disputed', 'escrow.refunded', 'bounty.submission_won']),
  );
});

test('a delivery that fails is tried four times, listed, and sent again when its owner asks', async () => {
  const node = await registerNode(world);
  const { id } = await subscribe(node, ['task.created']);
  status = 500;
  const sent = must(await node.call('POST', `/v1/webhooks/${id}/test`, { event: 'task.created' }));
  expect(sent).toMatchObject({ event_type: 'task.created', status: 'pending', attempts: 0 });
  for (const seconds of [0, 60, 300, 1_800]) {
    world.clock.advance(seconds * 1_000);
    await told();
  }
  expect(arrivedAt(node)).toHaveLength(4);
  const list = async (query = '') => must(await node.call('GET', `/v1/webhooks/${id}/deliveries${query}`));
  expect(await list('?status=exhausted')).toMatchObject([{ attempts: 4, last_response_code: 500 }]);
  status = 200;
  must(await node.call('POST', `/v1/webhooks/${id}/deliveries/${sent.id}/replay`));
  await told();
  expect(await list('?status=delivered&limit=5')).toHaveLength(1);
  const bodies = new Set(arrivedAt(node).map(({ body }) => body));
  expect([arrivedAt(node).length, bodies.size]).toEqual([5, 1]);
});

test('after a rotation both secrets sign, the old one for a while', async () => {
  const node = await registerNode(world);
  const { id, secret } = await subscribe(node, ['task.created']);
  const rotated = must(await node.call('POST', `/v1/webhooks/${id}/rotate-secret`));
  expect(rotated).toMatchObject({
    id,
    secret: expect.stringMatching(/^whsec_/),
    previous_valid_until: expect.any(String),
  });
  expect(rotated.secret).not.toBe(secret);
  must(await node.call('POST', `/v1/webhooks/${id}/test`, {}));
  await told();
  const [arrival] = arrivedAt(node);
  const sign = (key: string) =>
    createHmac('sha256', key)
      .update(`${String(arrival?.headers['x-botnode-timestamp'])}.${arrival?.body}`)
      .digest('hex');
  expect(arrival?.headers).toMatchObject({
    'x-botnode-signature': sign(rotated.secret),
    'x-botnode-signature-previous': sign(secret),
  });
});

test('what cannot be a webhook is refused in the words that clients know, and five are the most', async () => {
  const node = await registerNode(world);
  const refused = async (url: string, events = ['task.created']) => {
    const { status: code, body } = await node.call('POST', '/v1/webhooks', { url, events });
    return [code, body.detail];
  };
  expect((await refused('https://10.0.0.1/hook'))[0]).toBe(400);
  expect((await refused('https://169.254.169.254/latest'))[0]).toBe(400);
  expect(await refused('https://1.1.1.1/', ['nonsense'])).toEqual([400, 'Invalid events: nonsense']);
  for (let n = 0; n < 5; n++) await subscribe(node, ['task.created']);
  expect((await refused(`${receiver.url}/six`))[0]).toBe(400);
  const { body: list } = await node.call('GET', '/v1/webhooks');
  expect(list).toHaveLength(5);
  expect(JSON.stringify(list)).not.toContain('whsec_');
  const removed = must(await node.call('DELETE', `/v1/webhooks/${list[0].id}`));
  expect(removed).toEqual({ status: 'deleted', webhook_id: list[0].id });
  expect((await (await registerNode(world)).call('DELETE', `/v1/webhooks/${list[1].id}`)).status).toBe(404);
});

test('a server whose operator allows nothing else tells only addresses of the internet, over HTTPS', async () => {
  const server = await testServer();
  try {
    const node = await registerNode(server);
    const refused = async (url: string) => {
      const { status: code, body } = await node.call('POST', '/v1/webhooks', { url, events: ['task.created'] });
      return [code, body.detail];
    };
    expect(await refused('http://example.com/hook')).toEqual([400, 'Webhook URL must use HTTPS']);
    expect((await refused('https://127.0.0.1/hook'))[0]).toBe(400);
    expect((await refused('https://localhost/hook'))[0]).toBe(400);
  } finally {
    await server.stop();
  }
}, 120_000);

test('a webhook that fails for days is disabled, and another of its node’s is told so', async () => {
  const node = await registerNode(world);
  const other = await startReceiver((reply) => void reply.writeHead(200).end());
  try {
    const failing = await subscribe(node, ['task.created']);
    must(await node.call('POST', '/v1/webhooks', { url: other.url, events: ['webhook.disabled'] }));
    status = 500;
    for (let days = 0; days < 4; days++) {
      must(await node.call('POST', `/v1/webhooks/${failing.id}/test`, { event: 'task.created' }));
      await told();
      world.clock.advance(24 * HOUR_MS);
    }
    const list = must(await node.call('GET', '/v1/webhooks'));
    expect(list.find(({ id }: { id: string }) => id === failing.id)).toMatchObject({
      active: false,
      disabled_reason: 'every delivery has failed for 3 days',
    });
    await told();
    expect(other.arrivals.map(({ body }) => JSON.parse(body))).toMatchObject([
      { type: 'webhook.disabled', data: { webhook_id: failing.id, reason: 'every delivery has failed for 3 days' } },
    ]);
  } finally {
    await other.close();
  }
});
