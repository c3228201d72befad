import { Webhook } from 'standardwebhooks';
import { afterAll, describe, expect, test } from 'vitest';
import { DAY, MINUTE } from '../../src/kernel/time.ts';
import { startApis } from '../harness/apis.ts';
import { accountOp, systemOp } from '../harness/op.ts';
import { untilHeard } from '../webhooks/bells.ts';
import { startReceiver } from '../webhooks/receiver.ts';
import { accountOf, balanceOf, expectSound } from './money.ts';
import { nodeWith, publish, registerNode, type TestNode } from './node.ts';

const world = await startApis();
afterAll(() => world.close());

async function opOf(node: TestNode) {
  const op = accountOp(await accountOf(node), { now: world.clock.now() });
  return world.grid.nodes.enter(op, { keyOnly: false });
}
const send = (buyer: TestNode, skill: string, more: object = {}) =>
  buyer.call('POST', '/v1/a2a/tasks/send', { skill_id: skill, input: { text: 'Hello' }, ...more });
const watch = async (node: TestNode, task: string) => (await node.call('GET', `/v1/a2a/tasks/${task}`)).body;
const INPUT = { type: 'object', required: ['text'] };

describe('the agent card', () => {
  test('tells how to call the grid, and what it can do', async () => {
    const seller = await registerNode(world);
    const skill = await publish(seller, { label: 'Echo', price: 0.5, metadata: { input_schema: INPUT } });
    const { status, body } = await world.call('GET', '/.well-known/agent.json');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      url: 'https://freehold.test',
      protocol: 'a2a',
      authentication: { schemes: ['apiKey'], apiKey: { headerName: 'X-API-KEY' } },
      defaultInputModes: ['application/json'],
    });
    expect(body.skills).toContainEqual({
      id: skill,
      name: 'Echo',
      price_tck: '0.50',
      inputSchema: INPUT,
      outputSchema: { type: 'object' },
    });
  });
});

describe('a task that is sent', () => {
  test('goes from submitted to completed, and its price is locked', async () => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    const skill = await publish(seller, { price: 5 });
    const { status, body } = await send(buyer, skill);
    expect([status, body]).toEqual([
      200,
      {
        task_id: expect.any(String),
        status: 'submitted',
        escrow_id: expect.any(String),
        price_tck: '5.00',
        protocol: 'a2a',
      },
    ]);
    expect(await balanceOf(world, buyer)).toBe(95);
    const id: string = body.task_id;
    expect(await watch(buyer, id)).toEqual({
      task_id: id,
      status: 'submitted',
      botnode_status: 'OPEN',
      escrow_id: body.escrow_id,
      protocol: 'a2a',
      created_at: expect.stringMatching(/\.\d{6}$/),
      seller_cri: 30,
    });
    const atWork = await opOf(seller);
    await world.grid.escrow.claim(atWork, id);
    expect((await watch(seller, id)).status).toBe('working');
    await world.grid.escrow.complete(atWork, { taskId: id, output: { echo: 'Hello' }, proofHash: '0'.repeat(64) });
    expect(await watch(buyer, id)).toMatchObject({ status: 'completed', output: { echo: 'Hello' } });
    world.clock.advance(MINUTE);
    await world.grid.escrow.disputeTask(await opOf(buyer), id, { reason: 'No echo.' });
    expect((await watch(buyer, id)).status).toBe('input-required');
    await expectSound(world);
  });

  test('is unknown to others', async () => {
    const [buyer, seller, other] = [await registerNode(world), await registerNode(world), await registerNode(world)];
    const { body } = await send(buyer, await publish(seller));
    const foreign = await other.call('GET', `/v1/a2a/tasks/${body.task_id}`);
    expect([foreign.status, foreign.body]).toEqual([404, { detail: 'Task not found' }]);
  });

  test('wants a skill that is there, money, a key, and an address that may be called', async () => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    const [cheap, dear] = [await publish(seller, { price: 1 }), await publish(seller, { price: 101 })];
    expect((await send(buyer, '01890000-0000-7000-8000-000000000000')).status).toBe(404);
    expect((await send(buyer, dear)).status).toBe(402);
    expect((await send(seller, cheap)).status).toBe(400);
    const refused = await send(buyer, cheap, { callback_url: 'http://10.0.0.1/x' });
    expect([refused.status, refused.body.detail[0].field]).toEqual([422, 'callback_url']);
    const withToken = await world.call('POST', '/v1/a2a/tasks/send', {
      key: buyer.token,
      body: { skill_id: cheap, input: {} },
    });
    expect(withToken.status).toBe(401);
    expect(await balanceOf(world, buyer)).toBe(100);
  });

  test('is sent once by a request that is repeated under its key', async () => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    const body = { skill_id: await publish(seller), input: {} };
    const headers = { 'idempotency-key': 'send' };
    const first = await buyer.call('POST', '/v1/a2a/tasks/send', body, headers);
    await world.db.query('delete from idempotency_records');
    expect((await buyer.call('POST', '/v1/a2a/tasks/send', body, headers)).body).toEqual(first.body);
    expect(await balanceOf(world, buyer)).toBe(95);
  });
});

describe('whoever gave a callback_url', () => {
  test('is sent every state that its task comes to, signed, and nobody else’s', async () => {
    const receiver = await startReceiver((reply) => void reply.writeHead(204).end());
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    const skill = await publish(seller);
    const { body } = await send(buyer, skill, { callback_url: `${receiver.url}/a2a?me` });
    const quiet = await send(buyer, skill);
    const tell = async () => {
      await untilHeard(world.db);
      await world.webhooks.deliverDue(systemOp(world.clock.now()));
    };
    await tell();
    expect(receiver.arrivals).toEqual([]);
    const atWork = await opOf(seller);
    const output = { echo: 'Hello' };
    for (const taskId of [body.task_id, quiet.body.task_id]) {
      await world.grid.escrow.claim(atWork, taskId);
      await tell();
      await world.grid.escrow.complete(atWork, { taskId, output, proofHash: '0'.repeat(64) });
      await tell();
    }
    world.clock.advance(DAY);
    await world.grid.escrow.settleAll(systemOp(world.clock.now()));
    await tell();
    const told = receiver.arrivals.map(({ path, body: text }) => [path, JSON.parse(text).botnode_status]);
    expect(told).toEqual([
      ['/a2a?me', 'IN_PROGRESS'],
      ['/a2a?me', 'COMPLETED'],
      ['/a2a?me', 'SETTLED'],
    ]);
    const [, completed] = receiver.arrivals;
    const { secret } = (await buyer.call('GET', '/v1/account/webhook-secret')).body;
    const shown = new Webhook(secret).verify(completed?.body ?? '', completed?.headers as Record<string, string>);
    expect(shown).toMatchObject({ task_id: body.task_id, status: 'completed', output, seller_cri: expect.any(Number) });
    await receiver.close();
  });
});

describe('who looks for skills', () => {
  test('finds them by category, price and the standing of their sellers', async () => {
    const seller = await registerNode(world);
    const [cheap, dear] = [
      await publish(seller, { label: 'Cheap', price: 1, metadata: { category: 'a2a-test', description: 'Good.' } }),
      await publish(seller, { label: 'Dear', price: 9, metadata: { category: 'a2a-test' } }),
    ];
    const find = async (query: string) =>
      (await world.call('GET', `/v1/a2a/discover?category=a2a-test${query}`)).body.skills.map(
        ({ id }: { id: string }) => id,
      );
    expect(await find('')).toEqual([cheap, dear]);
    expect(await find('&max_price_tck=1')).toEqual([cheap]);
    expect(await find('&min_seller_cri=30')).toEqual([cheap, dear]);
    expect(await find('&min_seller_cri=30.5')).toEqual([]);
    expect(await find('&limit=1')).toEqual([cheap]);
    const { body } = await world.call('GET', '/v1/a2a/discover?category=a2a-test&limit=500');
    expect(body).toMatchObject({ total: 2, protocol: 'a2a' });
    expect(body.skills[0]).toEqual({
      id: cheap,
      name: 'Cheap',
      price_tck: '1.00',
      seller_id: seller.id,
      seller_cri: 30,
      category: 'a2a-test',
      description: 'Good.',
      inputSchema: { type: 'object' },
      outputSchema: { type: 'object' },
    });
  });

  test('finds none that only play', async () => {
    const { body } = await world.call('POST', '/v1/sandbox/nodes', { body: {} });
    await publish(nodeWith(world, body.node_id, body), { label: 'Play', metadata: { category: 'a2a-play' } });
    expect((await world.call('GET', '/v1/a2a/discover?category=a2a-play')).body.skills).toEqual([]);
  });
});
