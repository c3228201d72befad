import { afterAll, describe, expect, test } from 'vitest';
import { escrow as escrowAccount } from '../../src/domains/ledger/index.ts';
import type { EscrowId } from '../../src/kernel/ids.ts';
import { MINUTE, SECOND } from '../../src/kernel/time.ts';
import { ADMIN_KEY, startApis, statusesOf } from '../harness/apis.ts';
import { accountOp, systemOp } from '../harness/op.ts';
import { accountOf, balanceOf, expectSound, has } from './money.ts';
import { nodeWith, publish, registerNode, type TestNode } from './node.ts';

const world = await startApis();
afterAll(() => world.close());

const HIRE = { integration: 'claude', capability: 'csv-parser', payload: { csv: 'a,b' }, max_price: 1 };
const hire = (buyer: TestNode, wish: object = {}, headers = {}) =>
  buyer.call('POST', '/v1/mcp/hire', { ...HIRE, ...wish }, headers);
const watch = async (node: TestNode, task: string) => (await node.call('GET', `/v1/mcp/tasks/${task}`)).body;

/** The verbs of the seller's side. */
async function opOf(node: TestNode) {
  const op = accountOp(await accountOf(node), { now: world.clock.now() });
  return world.grid.nodes.enter(op, { keyOnly: false });
}
const deliver = async (seller: TestNode, taskId: string, output: Record<string, unknown>) =>
  world.grid.escrow.complete(await opOf(seller), { taskId, output, proofHash: '0'.repeat(64) });
const refundDue = () => world.grid.escrow.refundAll(systemOp(world.clock.now()));
const locked = (id: EscrowId): Promise<number> => has(world, escrowAccount(id));

describe('hiring by capability', () => {
  test('takes the cheapest skill whose label names it, and locks its price', async () => {
    const [buyer, cheap, dear] = [await registerNode(world), await registerNode(world), await registerNode(world)];
    await publish(dear, { label: 'CSV_Parser deluxe', price: 0.9 });
    await publish(cheap, { label: 'my csv_parser_v1', price: 0.4 });
    await publish(cheap, { label: 'csvXparser', price: 0.01 });
    const { status, body } = await hire(buyer);
    expect([status, body]).toEqual([
      200,
      {
        status: 'QUEUED',
        task_id: expect.any(String),
        escrow_id: expect.any(String),
        estimated_cost: '0.40',
        eta_seconds: 10,
      },
    ]);
    expect([await balanceOf(world, buyer), await locked(body.escrow_id)]).toEqual([99.6, 0.4]);
    expect(await watch(buyer, body.task_id)).toEqual({
      status: 'RUNNING',
      task_id: body.task_id,
      escrow_id: body.escrow_id,
      cost: null,
      output: null,
      error_type: null,
      error_message: null,
      retry_hint: null,
    });
    expect((await buyer.call('GET', '/v1/mcp/wallet')).body).toEqual({
      node_id: buyer.id,
      balance_tck: '99.60',
      cri_score: 30,
      pending_escrows: 1,
      open_tasks: 1,
    });
    await deliver(cheap, body.task_id, { rows: [['a', 'b']] });
    expect(await watch(buyer, body.task_id)).toMatchObject({
      status: 'COMPLETED',
      cost: '0.4000',
      output: { rows: [['a', 'b']] },
    });
    await expectSound(world);
  });

  test('refuses in a form that a program can branch on', async () => {
    const [buyer, seller, poor] = [await registerNode(world), await registerNode(world), await registerNode(world)];
    const told = async (wish: object, by = buyer) => {
      const { status, body } = await hire(by, wish);
      return [status, body.error_type, body.retry_hint];
    };
    expect(await told({ capability: 'does-not-exist', max_price: 5 })).toEqual([
      400,
      'INVALID_CAPABILITY',
      'change_capability',
    ]);
    // Below what is typical; the same where a matching skill asks for more than is typical.
    expect(await told({ capability: 'web-research', max_price: 0.01 })).toEqual([
      400,
      'BAD_PAYLOAD',
      'lower_capability_cost',
    ]);
    expect(await told({ capability: 'quality-gate' })).toEqual([400, 'GRID_ERROR', 'retry_later']);
    await publish(seller, { label: 'quality_gate', price: 80 });
    expect(await told({ capability: 'quality-gate', max_price: 79.99 })).toEqual([
      400,
      'BAD_PAYLOAD',
      'lower_capability_cost',
    ]);
    await hire(poor, { capability: 'quality-gate', max_price: 80 });
    expect(await told({ capability: 'quality-gate', max_price: 80 }, poor)).toEqual([
      402,
      'INSUFFICIENT_FUNDS',
      'lower_max_price',
    ]);
    expect(await balanceOf(world, poor)).toBe(20);
  });

  test('keeps which program hired, for the receipt and the operator’s figures', async () => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    await publish(seller, { label: 'image_describer', price: 0.1 });
    const hires = ['my-editor', 'my-editor', 'another'].map((integration) =>
      hire(buyer, { capability: 'image-describer', integration }),
    );
    const [first] = await Promise.all(hires);
    const { task } = (await buyer.call('GET', `/v1/tasks/${first?.body.task_id}/receipt`)).body;
    expect(task).toMatchObject({ protocol: 'mcp', integration: 'my-editor' });
    const { integrations } = (await world.call('GET', '/v1/admin/metrics', { key: ADMIN_KEY })).body;
    expect(integrations).toEqual(
      expect.arrayContaining([
        { integration: 'my-editor', tasks: 2 },
        { integration: 'another', tasks: 1 },
      ]),
    );
    const direct = await buyer.call('POST', '/v1/tasks/create', { skill_id: task.skill_id, input_data: {} });
    const receipt = await buyer.call('GET', `/v1/tasks/${direct.body.task_id}/receipt`);
    expect(receipt.body.task).toMatchObject({ protocol: 'grid', integration: null });
  });

  test('never hires the buyer itself', async () => {
    const alone = await registerNode(world);
    await publish(alone, { label: 'scheduler', price: 0.1 });
    const { status, body } = await hire(alone, { capability: 'scheduler' });
    expect([status, body.error_type]).toEqual([400, 'GRID_ERROR']);
  });

  test('keeps sandbox nodes and others apart', async () => {
    const made = await world.call('POST', '/v1/sandbox/nodes', { body: {} });
    const [player, real] = [nodeWith(world, made.body.node_id, made.body), await registerNode(world)];
    await publish(player, { label: 'vector_memory', price: 0.1 });
    expect(await hire(real, { capability: 'vector-memory' })).toMatchObject({
      status: 403,
      body: { error_type: 'SANDBOX_ISOLATION', message: expect.any(String), retry_hint: expect.any(String) },
    });
    await publish(real, { label: 'vector_memory', price: 0.2 });
    const buyer = await registerNode(world);
    // The one that it may hire, although another is cheaper.
    expect((await hire(buyer, { capability: 'vector-memory' })).body.estimated_cost).toBe('0.20');
  });

  test('gives back what is not delivered before its deadline', async () => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    await publish(seller, { label: 'url fetcher', price: 0.3 });
    const { body } = await hire(buyer, { capability: 'url-fetcher', deadline_seconds: 60 });
    world.clock.advance(59 * SECOND);
    await refundDue();
    expect((await watch(buyer, body.task_id)).status).toBe('RUNNING');
    world.clock.advance(SECOND);
    await expect(deliver(seller, body.task_id, { text: 'late' })).rejects.toMatchObject({ code: 'invalid' });
    await refundDue();
    expect(await watch(buyer, body.task_id)).toMatchObject({
      status: 'FAILED',
      cost: null,
      output: null,
      error_type: 'GRID_ERROR',
      error_message: expect.stringContaining('Given back'),
      retry_hint: 'retry_later',
    });
    expect(await balanceOf(world, buyer)).toBe(100);
    await expectSound(world);
  });

  test('orders once, however often the request is repeated under its key', async () => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    await publish(seller, { label: 'diff_analyzer', price: 0.3 });
    const headers = { 'idempotency-key': 'hire' };
    const first = await hire(buyer, { capability: 'diff-analyzer' }, headers);
    await world.db.query('delete from idempotency_records');
    await publish(seller, { label: 'diff_analyzer', price: 0.2 });
    const again = await hire(buyer, { capability: 'diff-analyzer' }, headers);
    expect(again.body).toEqual(first.body);
    expect(await balanceOf(world, buyer)).toBe(99.7);
  });

  test('by many at once never spends what is not there', async () => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    await publish(seller, { label: 'compliance_checker', price: 40 });
    const replies = await Promise.all(
      Array.from({ length: 5 }, () => hire(buyer, { capability: 'compliance-checker', max_price: 50 })),
    );
    expect(statusesOf(replies)).toEqual([200, 200, 402, 402, 402]);
    expect(await balanceOf(world, buyer)).toBe(20);
    await expectSound(world);
  });

  test.each([
    [{ max_price: 0 }, 'max_price'],
    [{ max_price: 10_001 }, 'max_price'],
    [{ deadline_seconds: 0 }, 'deadline_seconds'],
    [{ deadline_seconds: 3_601 }, 'deadline_seconds'],
    [{ payload: 'text' }, 'payload'],
    [{ integration: 'x'.repeat(51) }, 'integration'],
    [{ capability: 'x'.repeat(101) }, 'capability'],
  ])('refuses %j with 422 in both forms', async (wrong, field) => {
    const buyer = await registerNode(world);
    const { status, body } = await hire(buyer, wrong);
    expect([status, body.error_type, body.detail[0].field]).toEqual([422, 'BAD_PAYLOAD', field]);
  });
});

describe('a task', () => {
  test('is shown to its buyer and its seller; others do not know of it', async () => {
    const [buyer, seller, other] = [await registerNode(world), await registerNode(world), await registerNode(world)];
    await publish(seller, { label: 'text_to_voice', price: 0.3 });
    const { body } = await hire(buyer, { capability: 'text-to-voice' });
    expect((await watch(seller, body.task_id)).status).toBe('RUNNING');
    for (const id of [body.task_id, '01890000-0000-7000-8000-000000000000', 'nonsense']) {
      const reply = await other.call('GET', `/v1/mcp/tasks/${id}`);
      expect([reply.status, reply.body]).toEqual([
        404,
        { error_type: 'TASK_NOT_FOUND', message: 'Task not found', retry_hint: 'contact_human' },
      ]);
    }
  });

  test('that is disputed has failed', async () => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    await publish(seller, { label: 'lead_enricher', price: 0.3 });
    const { body } = await hire(buyer, { capability: 'lead-enricher', deadline_seconds: 3_600 });
    await deliver(seller, body.task_id, { wrong: true });
    world.clock.advance(MINUTE);
    await world.grid.escrow.disputeTask(await opOf(buyer), body.task_id, { reason: 'It is wrong.' });
    expect(await watch(buyer, body.task_id)).toMatchObject({
      status: 'FAILED',
      error_type: 'GRID_ERROR',
      retry_hint: 'contact_human',
    });
  });
});

test('a stranger is told so in both forms', async () => {
  const { status, body } = await world.call('GET', '/v1/mcp/wallet');
  expect([status, body.error_type, typeof body.detail]).toEqual([401, 'GRID_ERROR', 'string']);
});
