import { afterAll, describe, expect, test } from 'vitest';
import { escrow as escrowAccount, mint } from '../../src/domains/ledger/index.ts';
import { idOf, uuidv7, type EscrowId } from '../../src/kernel/ids.ts';
import { tck } from '../../src/kernel/money.ts';
import { MINUTE } from '../../src/kernel/time.ts';
import { ADMIN_KEY, startApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { balanceOf, expectSound, units } from './money.ts';
import { publish } from './node.ts';
import { complete, delivered, HOUR_MS, must, ordered, pair, runSweep, sandboxNode, settle, sweep } from './trades.ts';
import type { Ordered } from './trades.ts';

const world = await startApis();
afterAll(() => world.close());

const WINDOW = 24 * HOUR_MS;
const TIMEOUT = 72 * HOUR_MS;
const ENDLESS = { validators: [{ type: 'regex', field: 'text', pattern: '^(a+)+$' }] };
const BAIT = { text: `${'a'.repeat(100)}!` };
const RULED = { output_schema: { type: 'object' } };

/** Moves what is in an escrow out of it or back, which nothing of ours does: its end has to fail meanwhile. */
async function move({ escrowId }: Ordered, amount: number): Promise<void> {
  const legs = [
    { account: escrowAccount(escrowId as EscrowId), amount: units(amount) },
    { account: mint('TCK'), amount: tck(-units(amount)) },
  ];
  const transfer = { id: idOf('transfer', uuidv7(new Date())), type: 'deposit', description: 'For a test', legs };
  await world.db.transact((tx) => world.ledger.transfer(tx, systemOp(), transfer));
}
const escrowOf = async ({ buyer, escrowId }: Ordered) => must(await buyer.call('GET', `/v1/trade/escrow/${escrowId}`));
const statesOf = async (tasks: Ordered[]): Promise<string[]> =>
  Promise.all(tasks.map(async (task) => (await escrowOf(task)).status));

describe('an escrow whose end fails', () => {
  test('hinders no other from being given back, stays overdue, and is given back when it can be', async () => {
    const tasks = [await ordered(world), await ordered(world), await ordered(world)] as const;
    const [, broken] = tasks;
    await move(broken, -5);
    world.clock.advance(TIMEOUT);
    const reply = await world.call('POST', '/v1/admin/escrows/auto-refund', { key: ADMIN_KEY });
    expect(reply.body).toEqual({ status: 'OK', refunded: 2 });
    expect(await statesOf([...tasks])).toEqual(['REFUNDED', 'PENDING', 'REFUNDED']);
    // It waits to be tried again; nobody can deliver against it meanwhile.
    expect((await complete(broken.seller, broken.taskId)).status).toBe(400);
    await move(broken, 5);
    await sweep(world);
    expect(await statesOf([broken])).toEqual(['PENDING']);
    world.clock.advance(5 * MINUTE);
    await sweep(world);
    expect(await statesOf([broken])).toEqual(['REFUNDED']);
    expect(await balanceOf(world, broken.buyer)).toBe(100);
    await expectSound(world);
  });

  test('hinders no other from being settled, and its window is not opened again', async () => {
    const tasks = [await delivered(world), await delivered(world), await delivered(world)] as const;
    const [broken] = tasks;
    await move(broken, -5);
    const { auto_settle_at: windowEnds } = await escrowOf(broken);
    world.clock.advance(WINDOW);
    const { body } = await world.call('POST', '/v1/admin/escrows/auto-settle', { key: ADMIN_KEY });
    expect(body).toMatchObject({ settled: 2, failed: 1 });
    expect(await statesOf([...tasks])).toEqual(['AWAITING_SETTLEMENT', 'SETTLED', 'SETTLED']);
    expect((await escrowOf(broken)).auto_settle_at).toBe(windowEnds);
    const dispute = { task_id: broken.taskId, reason: 'Too late' };
    expect((await broken.buyer.call('POST', '/v1/tasks/dispute', dispute)).status).toBe(400);
    await move(broken, 5);
    world.clock.advance(5 * MINUTE);
    await sweep(world);
    expect(await balanceOf(world, broken.seller)).toBe(104.35);
    await expectSound(world);
  });
});

describe('money that has to be judged', () => {
  test('never waits for that of sandbox nodes', async () => {
    const players = { buyer: await sandboxNode(world), seller: await sandboxNode(world) };
    const played = [
      await delivered(world, { metadata: ENDLESS }, { output: BAIT }, players),
      await delivered(world, { metadata: ENDLESS }, { output: BAIT }, players),
    ];
    const honest = await delivered(world, { metadata: RULED });
    world.clock.advance(WINDOW);
    const ended: string[] = [];
    const playing = runSweep(world, 'grid.judge-played').then(() => ended.push('played'));
    await new Promise((resolve) => setTimeout(resolve, 300)); // they are before their court
    expect(await runSweep(world, 'grid.judge')).toBe(1);
    ended.push('judged');
    await playing;
    expect(ended).toEqual(['judged', 'played']);
    expect(await statesOf([honest, ...played])).toEqual(['SETTLED', 'DISPUTED', 'DISPUTED']);
  });

  test('of one seller comes in turn, however much of another’s has waited longer', async () => {
    const many = await pair(world);
    const skill_id = await publish(many.seller, { price: 0.1, metadata: RULED });
    for (let n = 0; n < 55; n++) {
      const { task_id: id } = must(await many.buyer.call('POST', '/v1/tasks/create', { skill_id, input_data: {} }));
      must(await complete(many.seller, id));
    }
    const single = await delivered(world, { metadata: RULED });
    world.clock.advance(WINDOW);
    expect(await runSweep(world, 'grid.judge')).toBe(50);
    expect(await statesOf([single])).toEqual(['SETTLED']);
    await sweep(world);
    const left = must(await many.seller.call('GET', '/v1/tasks/mine?status=COMPLETED'));
    expect(left.count).toBe(0);
    await expectSound(world);
  });

  test('is settled at the word of a party too, where it could not be before', async () => {
    const task = await delivered(world);
    await move(task, -5);
    world.clock.advance(WINDOW);
    expect((await settle(task.seller, task.escrowId)).status).toBe(400);
    await move(task, 5);
    expect((await settle(task.seller, task.escrowId)).body).toMatchObject({ status: 'SETTLED', payout: '4.8500' });
  });
});
