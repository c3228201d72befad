import { afterAll, describe, expect, test } from 'vitest';
import { escrow as escrowAccount, VAULT } from '../../src/domains/ledger/index.ts';
import type { EscrowId } from '../../src/kernel/ids.ts';
import { proofHash } from '../../src/domains/grid/escrow/proof.ts';
import { ADMIN_KEY, startApis, statusesOf } from '../harness/apis.ts';
import { balanceOf, expectSound, has } from './money.ts';
import { publish, registerNode, type TestNode } from './node.ts';
import { complete, delivered, HOUR_MS, must, ordered, pair, PROOF, settle, sweep } from './trades.ts';

const world = await startApis();
afterAll(() => world.close());

const GONE = '00000000-0000-7000-8000-000000000000';
const inEscrow = (id: string) => has(world, escrowAccount(id as EscrowId));
const admin = (method: string, path: string) => world.call(method, path, { key: ADMIN_KEY });

describe('a task', () => {
  test('locks its price away, is delivered, and pays its seller 97 % a day later, the vault 3 %', async () => {
    const vault = await has(world, VAULT);
    const { buyer, seller, taskId, escrowId } = await ordered(world, { price: 5 });
    expect([await balanceOf(world, buyer), await inEscrow(escrowId)]).toEqual([95, 5]);
    const { body } = await complete(seller, taskId);
    expect(body).toEqual({
      status: 'COMPLETED',
      settlement_status: 'PENDING_DISPUTE_WINDOW',
      eta_tck_release: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/),
    });
    world.clock.advance(24 * HOUR_MS);
    await sweep(world);
    expect([await balanceOf(world, seller), await inEscrow(escrowId)]).toEqual([100 - 0.5 + 4.85, 0]);
    expect(await has(world, VAULT)).toBeCloseTo(vault + 0.5 + 0.15, 4);
    const bought = must(await buyer.call('GET', '/v1/tasks/mine?status=SETTLED&role=buyer'));
    expect(bought.tasks.map((task: { task_id: string }) => task.task_id)).toEqual([taskId]);
    await expectSound(world);
  });

  test('is settled by either party after the window, exactly once, with four decimals', async () => {
    const { buyer, seller, escrowId } = await delivered(world, { price: 5 });
    const early = await settle(buyer, escrowId);
    expect(early.status).toBe(400);
    expect(early.body.detail).toMatch(/^Dispute window open until \d{4}-.*\.\d{6}Z$/);
    world.clock.advance(24 * HOUR_MS);
    expect((await settle(await registerNode(world), escrowId)).body.detail).toBe('Not a party to this escrow');
    expect((await settle(seller, escrowId)).body).toEqual({ status: 'SETTLED', payout: '4.8500', tax: '0.1500' });
    const again = await settle(buyer, escrowId);
    expect([again.status, again.body.detail]).toEqual([400, 'Escrow not ready for settlement']);
    expect((await settle(buyer, GONE)).body.detail).toBe('Escrow not found');
  });

  test('that the sweep has settled tells the first party that asks what it came to', async () => {
    const { seller, escrowId } = await delivered(world, { price: 5 });
    world.clock.advance(24 * HOUR_MS);
    await sweep(world);
    expect((await settle(seller, escrowId)).body).toEqual({ status: 'SETTLED', payout: '4.8500', tax: '0.1500' });
    expect((await settle(seller, escrowId)).status).toBe(400);
  });

  test('that nobody delivers is refunded in full after 72 hours', async () => {
    const { buyer, seller, taskId } = await ordered(world, { price: 5 });
    world.clock.advance(72 * HOUR_MS - 60_000);
    await sweep(world);
    expect(await balanceOf(world, buyer)).toBe(95);
    world.clock.advance(60_000);
    expect((await complete(seller, taskId)).body.detail).toBe('Task cannot be completed from current state');
    await sweep(world);
    expect(await balanceOf(world, buyer)).toBe(100);
    const { dispute_engine: log, escrow } = must(await buyer.call('GET', `/v1/tasks/${taskId}/receipt`));
    expect(escrow).toMatchObject({ status: 'REFUNDED', dispute_reason: 'TIMEOUT_NON_DELIVERY' });
    expect(log).toMatchObject([{ rule: 'TIMEOUT_NON_DELIVERY', action: 'AUTO_REFUND' }]);
  });

  test('is claimed once, and completed by its seller only, once', async () => {
    const { buyer, seller, taskId } = await ordered(world);
    const claims = await Promise.all(Array.from({ length: 5 }, () => seller.call('POST', `/v1/tasks/${taskId}/claim`)));
    expect(statusesOf(claims)).toEqual([200, 409, 409, 409, 409]);
    expect(claims.find(({ status }) => status === 409)?.body.detail).toBe('Task already claimed or completed');
    expect((await buyer.call('POST', `/v1/tasks/${taskId}/claim`)).status).toBe(403);
    expect((await complete(buyer, taskId)).body.detail).toBe('Not your task');
    must(await complete(seller, taskId));
    expect((await complete(seller, taskId)).status).toBe(400);
    expect((await complete(seller, GONE)).body.detail).toBe('Task not found');
  });

  test('costs what is there: 402 beyond it, and nothing changes', async () => {
    const { buyer, seller } = await pair(world);
    const skillId = await publish(seller, { price: 101 });
    const order = { skill_id: skillId, input_data: {} };
    const reply = await buyer.call('POST', '/v1/tasks/create', order);
    expect([reply.status, reply.body.detail]).toEqual([402, 'Insufficient funds']);
    expect(await balanceOf(world, buyer)).toBe(100);
    expect(must(await seller.call('GET', '/v1/tasks/mine')).count).toBe(0);
  });

  test('is bound by the caps of its buyer, on escrows too', async () => {
    const { buyer, seller } = await pair(world);
    must(await buyer.call('PUT', '/v1/node/canary', { max_escrow_per_task: 4, max_spend_daily: 7 }));
    const skillId = await publish(seller, { price: 5 });
    const tooDear = await buyer.call('POST', '/v1/tasks/create', { skill_id: skillId, input_data: {} });
    expect([tooDear.status, tooDear.body.detail]).toEqual([400, expect.stringContaining('exceeds your per-task cap')]);
    const init = (amount: number) => buyer.call('POST', '/v1/trade/escrow/init', { seller_id: seller.id, amount });
    expect((await init(4)).status).toBe(200);
    expect((await init(4)).body.detail).toContain('Daily spend cap reached (');
    expect((await init(3)).status).toBe(200);
  });

  test('of a skill that is not there is 404, of oneself 400', async () => {
    const { buyer, seller } = await pair(world);
    const create = (node: TestNode, id: string) =>
      node.call('POST', '/v1/tasks/create', { skill_id: id, input_data: {} });
    expect((await create(buyer, GONE)).body.detail).toBe('Skill not found');
    expect((await create(buyer, 'sk_csv_parser')).status).toBe(404);
    expect((await create(seller, await publish(seller))).body.detail).toBe('Self-trade not allowed');
  });

  test('ordered again under its idempotency key is the same task; the key of another node is another', async () => {
    const { buyer, seller } = await pair(world);
    const body = { skill_id: await publish(seller), input_data: {}, idempotency_key: 'k-1' };
    const create = (node: typeof buyer) => node.call('POST', '/v1/tasks/create', body);
    const replies = await Promise.all([create(buyer), create(buyer), create(buyer)]);
    expect(statusesOf(replies)).toEqual([200, 200, 200]);
    expect(new Set(replies.map((reply) => reply.body.task_id)).size).toBe(1);
    expect(replies.filter((reply) => reply.body.idempotent === true)).toHaveLength(2);
    expect(await balanceOf(world, buyer)).toBe(95);
    const other = await registerNode(world);
    expect(must(await create(other)).task_id).not.toBe(replies[0]?.body.task_id);
  });

  test('keeps whether the hash is that of the output, and refuses nobody for it', async () => {
    const output = { text: 'Grüße', n: 1 };
    const good = await ordered(world);
    must(await complete(good.seller, good.taskId, output, proofHash(output)));
    const { taskId, buyer } = await delivered(world);
    const receiptOf = async (node: typeof buyer, id: string) =>
      must(await node.call('GET', `/v1/tasks/${id}/receipt`)).task.proof_matches;
    expect([await receiptOf(good.buyer, good.taskId), await receiptOf(buyer, taskId)]).toEqual([true, false]);
  });
});

describe('a dispute', () => {
  const dispute = (node: TestNode, body: unknown) => node.call('POST', '/v1/tasks/dispute', body);

  test('freezes the money until the operator gives it back', async () => {
    const { buyer, seller, taskId, escrowId } = await delivered(world);
    expect((await dispute(seller, { task_id: taskId, reason: 'no' })).body.detail).toBe('Not your task');
    const evidence = { verifier_skill: 'v', score: 0.1, verdict: 'bad' };
    const opened = await dispute(buyer, { task_id: taskId, reason: 'Wrong', verification_evidence: evidence });
    expect(opened.body).toEqual({
      status: 'DISPUTE_OPEN',
      message: expect.any(String),
      evidence_attached: true,
      evidence_summary: 'Verification evidence attached: verifier=v, score=0.1, verdict=bad',
    });
    world.clock.advance(100 * HOUR_MS);
    await sweep(world);
    expect(await inEscrow(escrowId)).toBe(5);
    const resolve = (way: string) =>
      admin('POST', `/v1/admin/disputes/resolve?escrow_id=${escrowId}&resolution=${way}`);
    expect((await resolve('split')).status).toBe(400);
    expect((await resolve('refund_buyer')).body).toEqual({
      status: 'REFUNDED',
      escrow_id: escrowId,
      amount: '5.00',
      to: buyer.id,
    });
    expect((await resolve('release_to_seller')).body.detail).toBe('Escrow is not in DISPUTED state');
    expect(await balanceOf(world, buyer)).toBe(100);
    const listed = await admin('GET', `/v1/admin/disputes?reason=BUYER_DISPUTE&escrow_status=REFUNDED`);
    expect(listed.body.disputes[0]).toMatchObject({
      escrow_id: escrowId,
      task_id: taskId,
      action_taken: 'FLAGGED_MANUAL',
    });
  });

  test('that the operator decides for the seller pays it, less the tax', async () => {
    const { buyer, seller, taskId, escrowId } = await delivered(world);
    must(await dispute(buyer, { task_id: taskId, reason: 'Wrong' }));
    const path = `/v1/admin/disputes/resolve?escrow_id=${escrowId}&resolution=release_to_seller`;
    expect((await admin('POST', path)).body).toMatchObject({ status: 'SETTLED', payout: '4.8500', to: seller.id });
    expect(await balanceOf(world, seller)).toBe(104.35);
    await expectSound(world);
  });

  test('comes too late when the window is over, and too early before anything is delivered', async () => {
    const open = await ordered(world);
    expect((await dispute(open.buyer, { task_id: open.taskId, reason: 'x' })).status).toBe(400);
    const late = await delivered(world);
    world.clock.advance(24 * HOUR_MS);
    expect((await dispute(late.buyer, { task_id: late.taskId, reason: 'x' })).status).toBe(400);
    await sweep(world);
    expect(await balanceOf(world, late.seller)).toBe(104.35);
  });
});

describe('a bare escrow', () => {
  const open = async (amount = 20) => {
    const both = await pair(world);
    const { escrow_id: id } = must(
      await both.buyer.call('POST', '/v1/trade/escrow/init', { seller_id: both.seller.id, amount }),
    );
    return { ...both, id: id as string, path: `/v1/trade/escrow/${id}` };
  };

  test('is delivered by its seller and settled like every other', async () => {
    const { buyer, seller, id, path } = await open();
    expect((await buyer.call('POST', `${path}/deliver`, { proof_hash: PROOF })).status).toBe(403);
    expect(must(await seller.call('POST', `${path}/deliver`, { proof_hash: PROOF })).status).toBe(
      'AWAITING_SETTLEMENT',
    );
    expect((await seller.call('POST', `${path}/deliver`, { proof_hash: PROOF })).status).toBe(400);
    world.clock.advance(24 * HOUR_MS);
    expect((await settle(buyer, id)).body).toEqual({ status: 'SETTLED', payout: '19.4000', tax: '0.6000' });
    expect(must(await seller.call('GET', path))).toMatchObject({ status: 'SETTLED', amount: '20.00' });
    expect((await (await registerNode(world)).call('GET', path)).status).toBe(404);
  });

  test('is disputed by its buyer', async () => {
    const { buyer, seller, path } = await open();
    must(await seller.call('POST', `${path}/deliver`, { proof_hash: PROOF }));
    expect((await seller.call('POST', `${path}/dispute`, { reason: 'x' })).status).toBe(403);
    must(await buyer.call('POST', `${path}/dispute`, { reason: 'Nothing came' }));
    expect(must(await buyer.call('GET', path)).status).toBe('DISPUTED');
  });

  test('that nobody delivers against goes back after 72 hours, through the operator’s route too', async () => {
    const { buyer } = await open();
    world.clock.advance(72 * HOUR_MS);
    expect((await admin('POST', '/v1/admin/escrows/auto-refund')).body.refunded).toBeGreaterThanOrEqual(1);
    expect(await balanceOf(world, buyer)).toBe(100);
  });

  test('is refused for oneself, for nobody, and beyond what is there', async () => {
    const { buyer, seller } = await pair(world);
    const init = (body: unknown) => buyer.call('POST', '/v1/trade/escrow/init', body);
    expect((await init({ seller_id: buyer.id, amount: 1 })).body.detail).toBe('Self-trade not allowed');
    expect((await init({ seller_id: 'nobody-at-all', amount: 1 })).status).toBe(404);
    expect((await init({ seller_id: seller.id, amount: 101 })).body.detail).toBe('Insufficient funds');
    expect((await init({ seller_id: seller.id, amount: 100_001 })).status).toBe(422);
    const body = { seller_id: seller.id, amount: 1, idempotency_key: 'same' };
    const first = must(await init(body));
    expect(must(await init(body))).toEqual({ ...first, idempotent: true });
    expect((await init({ ...body, amount: 2 })).status).toBe(409);
  });
});

test('a receipt shows every movement, and only its parties see it', async () => {
  const { buyer, seller, taskId, escrowId } = await delivered(world);
  world.clock.advance(24 * HOUR_MS);
  await sweep(world);
  const receipt = must(await buyer.call('GET', `/v1/tasks/${taskId}/receipt`));
  expect(receipt).toMatchObject({
    receipt_id: `rcpt_${taskId}`,
    task: { status: 'SETTLED', has_output: true, protocol: 'grid' },
    escrow: { status: 'SETTLED', amount: '5.00' },
    dispute_engine: [],
  });
  const shown = receipt.ledger_movements.map((each: Record<string, string>) =>
    [each.type, each.account, each.amount, each.reference_type].join(' '),
  );
  expect(shown).toEqual([
    `DEBIT ${buyer.id} 5.0000 ESCROW_LOCK`,
    `CREDIT ESCROW:${escrowId} 5.0000 ESCROW_LOCK`,
    `DEBIT ESCROW:${escrowId} 5.0000 ESCROW_SETTLE`,
    'CREDIT VAULT 0.1500 PROTOCOL_TAX',
    `CREDIT ${seller.id} 4.8500 ESCROW_SETTLE`,
  ]);
  expect((await (await registerNode(world)).call('GET', `/v1/tasks/${taskId}/receipt`)).status).toBe(404);
});

test('a shadow task goes the whole way without any money', async () => {
  const { buyer, seller } = await pair(world);
  const schema = { required: ['text'] };
  const skillId = await publish(seller, { price: 5, metadata: { output_schema: schema } });
  const order = { skill_id: skillId, input_data: {} };
  const shadow = must(await buyer.call('POST', '/v1/shadow/tasks/create', order));
  expect(shadow).toMatchObject({
    status: 'SHADOW_QUEUED',
    shadow: true,
    simulated_cost: '5.00',
    simulated_tax: '0.1500',
    simulated_payout: '4.8500',
  });
  const simulate = async () => must(await buyer.call('GET', `/v1/shadow/simulate/${shadow.task_id}`)).simulation;
  expect(await simulate()).toMatchObject({ outcome: 'AUTO_REFUND', dispute_engine: { reason: 'PROOF_MISSING' } });
  expect(must(await complete(seller, shadow.task_id)).settlement_status).toBe('SHADOW_NO_ESCROW');
  expect(await simulate()).toMatchObject({
    outcome: 'SETTLED',
    financial_impact: { buyer: '-5.00 TCK', seller: '+4.8500 TCK', vault: '+0.1500 TCK' },
  });
  const created = must(await buyer.call('POST', '/v1/tasks/create', { ...order, is_shadow: true }));
  expect(created).toMatchObject({ status: 'QUEUED', shadow: true });
  expect([await balanceOf(world, buyer), await balanceOf(world, seller)]).toEqual([100, 99.5]);
});

test('a dispute that is decided for the buyer stays in the seller’s record, one that is decided for it does not', async () => {
  const [first, other] = [await delivered(world), await pair(world)];
  const { seller, skillId } = first;
  const order = async (): Promise<{ task_id: string; escrow_id: string }> => {
    const task = must(await other.buyer.call('POST', '/v1/tasks/create', { skill_id: skillId, input_data: {} }));
    must(await complete(seller, task.task_id));
    must(await other.buyer.call('POST', '/v1/tasks/dispute', { task_id: task.task_id, reason: 'It is wrong.' }));
    return task;
  };
  const record = async () => {
    const { dispute_rate: rate } = must(await seller.call('GET', '/v1/seller/stats'));
    const { stats } = must(await world.call('GET', `/v1/skills/${skillId}/page`));
    return [rate, stats.tasks_completed, stats.tasks_disputed];
  };
  const decide = async ({ escrow_id: id }: { escrow_id: string }, way: string) =>
    must(await admin('POST', `/v1/admin/disputes/resolve?escrow_id=${id}&resolution=${way}`));
  const [lost, won] = [await order(), await order()];
  expect(await record()).toEqual([0.6667, 1, 2]);
  await decide(lost, 'refund_buyer');
  await decide(won, 'release_to_seller');
  expect(await record()).toEqual([0.3333, 2, 1]);
});

test('a list of large tasks ends before it is too large to be answered', async () => {
  const { buyer, seller } = await pair(world);
  const skill_id = await publish(seller);
  const order = { skill_id, input_data: { text: 'x'.repeat(900_000) } };
  for (let n = 0; n < 10; n++) must(await buyer.call('POST', '/v1/shadow/tasks/create', order));
  const { count, tasks } = must(await seller.call('GET', '/v1/tasks/mine'));
  expect([count, tasks.length]).toEqual([8, 8]);
  for (const { task_id: id } of tasks) must(await complete(seller, id));
  // The rest comes when the first are done.
  expect(must(await seller.call('GET', '/v1/tasks/mine')).count).toBe(2);
});

test('what moves money asks for a key; a session token opens escrows but no tasks', async () => {
  const { buyer, seller } = await pair(world);
  const asToken = { headers: { authorization: `Bearer ${buyer.token}` } };
  expect((await world.call('GET', '/v1/tasks/mine', asToken)).status).toBe(401);
  const body = { seller_id: seller.id, amount: 1 };
  expect((await world.call('POST', '/v1/trade/escrow/init', { ...asToken, body })).status).toBe(200);
});
