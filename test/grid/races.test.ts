import { afterAll, expect, test } from 'vitest';
import { escrow as escrowAccount } from '../../src/domains/ledger/index.ts';
import type { EscrowId } from '../../src/kernel/ids.ts';
import { systemOp } from '../harness/op.ts';
import { startApis, statusesOf } from '../harness/apis.ts';
import { balanceOf, expectSound, has } from './money.ts';
import { complete, delivered, HOUR_MS, must, ordered, PROOF, settle, type Ordered } from './trades.ts';

const world = await startApis();
afterAll(() => world.close());

const ROUNDS = 6;
const TIMES = { delivered: 24 * HOUR_MS, pending: 72 * HOUR_MS };

/** At a time of one's own: two processes need not have the same. */
const opAt = (offsetMs = 0) => systemOp(new Date(world.clock.now().getTime() + offsetMs));
const settleSweep = (offsetMs = 0) => world.grid.escrow.settleAll(opAt(offsetMs));
const refundSweep = (offsetMs = 0) => world.grid.escrow.refundAll(opAt(offsetMs));
const operatorSays = (way: string) => (task: Ordered) =>
  world.grid.escrow.resolve(opAt(), task.escrowId, way).then(
    () => 200,
    () => 400,
  );
const dispute = ({ buyer, taskId }: Ordered) =>
  buyer.call('POST', '/v1/tasks/dispute', { task_id: taskId, reason: 'x' });
const claim = ({ seller, taskId }: Ordered) => seller.call('POST', `/v1/tasks/${taskId}/claim`);
const deliver = ({ seller, taskId }: Ordered) => complete(seller, taskId);
const statusOf = async ({ buyer, escrowId }: Ordered): Promise<string> =>
  must(await buyer.call('GET', `/v1/trade/escrow/${escrowId}`)).status;
const taskStatusOf = async ({ buyer, taskId }: Ordered): Promise<string> =>
  must(await buyer.call('GET', `/v1/tasks/${taskId}/receipt`)).task.status;

/** Who has the 5 TCK of the trade. The seller has paid 0.50 to publish. */
async function expectMoneyAgrees(task: Ordered): Promise<void> {
  const state = await statusOf(task);
  const [buyer, seller, locked] = [
    await balanceOf(world, task.buyer),
    await balanceOf(world, task.seller),
    await has(world, escrowAccount(task.escrowId as EscrowId)),
  ];
  const expected: Record<string, number[]> = {
    SETTLED: [95, 104.35, 0],
    REFUNDED: [100, 99.5, 0],
  };
  expect([state, buyer, seller, locked]).toEqual([state, ...(expected[state] ?? [95, 99.5, 5])]);
  const followed = { SETTLED: 'SETTLED', REFUNDED: 'REFUNDED', DISPUTED: 'DISPUTED', AWAITING_SETTLEMENT: 'COMPLETED' };
  if (state !== 'PENDING') expect(await taskStatusOf(task)).toBe(followed[state as keyof typeof followed]);
}

type Contender = (task: Ordered) => Promise<unknown>;

/** Runs both at once, each first as often as the other, and answers what became of the escrows. */
async function race(make: () => Promise<Ordered>, a: Contender, b: Contender): Promise<string[]> {
  const states: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const task = await make();
    const both = round % 2 === 0 ? [a, b] : [b, a];
    await Promise.all(both.map((contender) => contender(task)));
    await expectMoneyAgrees(task);
    states.push(await statusOf(task));
  }
  return states;
}

test('two parties that settle one escrow: exactly one does', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const task = await delivered(world);
    world.clock.advance(TIMES.delivered);
    const replies = await Promise.all([settle(task.buyer, task.escrowId), settle(task.seller, task.escrowId)]);
    expect(statusesOf(replies)).toEqual([200, 400]);
    await expectMoneyAgrees(task);
  }
});

test('a party and the sweep that settle one escrow: it is paid once', async () => {
  const make = async () => {
    const task = await delivered(world);
    world.clock.advance(TIMES.delivered);
    return task;
  };
  const states = await race(
    make,
    (task) => settle(task.seller, task.escrowId),
    () => settleSweep(),
  );
  expect(new Set(states)).toEqual(new Set(['SETTLED']));
});

test('three sweeps at once pay every escrow once', async () => {
  const tasks = await Promise.all(Array.from({ length: 8 }, () => delivered(world)));
  world.clock.advance(TIMES.delivered);
  const tallies = await Promise.all([settleSweep(), settleSweep(), settleSweep()]);
  expect(tallies.reduce((sum, { settled }) => sum + settled, 0)).toBe(tasks.length);
  for (const task of tasks) await expectMoneyAgrees(task);
});

test('a dispute at the last moment and a sweep whose clock is ahead: one of them has it', async () => {
  const states = await race(
    () => delivered(world),
    dispute,
    () => settleSweep(TIMES.delivered),
  );
  expect(states.every((state) => state === 'SETTLED' || state === 'DISPUTED')).toBe(true);
});

test('two disputes of one task: one is opened', async () => {
  const task = await delivered(world);
  const replies = await Promise.all([dispute(task), dispute(task)]);
  expect(statusesOf(replies)).toEqual([200, 400]);
  await expectMoneyAgrees(task);
});

test('a delivery at the last moment and a refund whose clock is ahead: one of them has it', async () => {
  const states = await race(
    () => ordered(world),
    deliver,
    () => refundSweep(TIMES.pending),
  );
  expect(states.every((state) => state === 'REFUNDED' || state === 'AWAITING_SETTLEMENT')).toBe(true);
});

test('a claim and a refund: whoever comes first, the money goes back and nothing can be delivered', async () => {
  const states = await race(
    () => ordered(world),
    claim,
    () => refundSweep(TIMES.pending),
  );
  expect(new Set(states)).toEqual(new Set(['REFUNDED']));
});

test('two deliveries of one task: one counts', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const task = await ordered(world);
    const replies = await Promise.all([
      complete(task.seller, task.taskId, { n: 1 }),
      complete(task.seller, task.taskId, { n: 2 }),
    ]);
    expect(statusesOf(replies)).toEqual([200, 400]);
    await expectMoneyAgrees(task);
  }
});

test('three refunds of one overdue escrow: it is given back once', async () => {
  const task = await ordered(world);
  world.clock.advance(TIMES.pending);
  const refunded = await Promise.all([refundSweep(), refundSweep(), refundSweep()]);
  expect(refunded.reduce((sum, count) => sum + count, 0)).toBe(1);
  await expectMoneyAgrees(task);
});

test('the operator who decides both ways at once decides once', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const task = await delivered(world);
    must(await dispute(task));
    const ways = ['refund_buyer', 'release_to_seller', 'refund_buyer', 'release_to_seller'];
    const statuses = await Promise.all(ways.map((way) => operatorSays(way)(task)));
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 400, 400, 400]);
    await expectMoneyAgrees(task);
  }
});

test('two deliveries against one bare escrow: one counts', async () => {
  const { buyer, seller } = await ordered(world);
  const { escrow_id: id } = must(
    await buyer.call('POST', '/v1/trade/escrow/init', { seller_id: seller.id, amount: 1 }),
  );
  const say = () => seller.call('POST', `/v1/trade/escrow/${id}/deliver`, { proof_hash: PROOF });
  const replies = await Promise.all([say(), say()]);
  expect(statusesOf(replies)).toEqual([200, 400]);
});

test('ten tasks at once on a balance for one: exactly one is paid for', async () => {
  const { buyer } = await ordered(world, { price: 51 });
  const other = await ordered(world, { price: 30 });
  const order = { skill_id: other.skillId, input_data: {} };
  const replies = await Promise.all(Array.from({ length: 10 }, () => buyer.call('POST', '/v1/tasks/create', order)));
  expect(statusesOf(replies)).toEqual([200, ...Array.from({ length: 9 }, () => 402)]);
  expect(await balanceOf(world, buyer)).toBe(19);
});

test('ten tasks at once under a daily cap for two: exactly two are created', async () => {
  const { buyer, skillId } = await ordered(world, { price: 5 });
  must(await buyer.call('PUT', '/v1/node/canary', { max_spend_daily: 15 }));
  const order = { skill_id: skillId, input_data: {} };
  const replies = await Promise.all(Array.from({ length: 10 }, () => buyer.call('POST', '/v1/tasks/create', order)));
  expect(replies.filter(({ status }) => status === 200)).toHaveLength(2);
  expect(await balanceOf(world, buyer)).toBe(85);
});

test('after every race the books are sound', () => expectSound(world));
