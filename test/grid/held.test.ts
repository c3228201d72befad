import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { escrow as escrowAccount, mint, VAULT, wallet } from '../../src/domains/ledger/index.ts';
import { idOf, uuidv7 } from '../../src/kernel/ids.ts';
import { tck } from '../../src/kernel/money.ts';
import { ADMIN_KEY, startApis, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { accountOf, expectSound, has } from './money.ts';
import { registerNode, type TestNode } from './node.ts';
import { delivered, HOUR_MS, must, ordered, pair, settle, sweep, type Ordered } from './trades.ts';

let world: TestApis;
beforeAll(async () => {
  world = await startApis({ reportPolicy: 'direct' });
});
afterAll(() => world.close());

const admin = (method: string, path: string) => world.call(method, path, { key: ADMIN_KEY });

/** A purse that can be looked into after its node is banned. */
async function purseOf(node: TestNode): Promise<() => Promise<number>> {
  const code = wallet(await accountOf(node), 'TCK');
  return () => has(world, code);
}

async function ban(accused: TestNode, reporter?: TestNode): Promise<void> {
  const by = reporter ?? (await registerNode(world));
  for (let strike = 0; strike < 3; strike++)
    must(await by.call('POST', `/v1/report/malfeasance?node_id=${accused.id}`));
}

/** The operator's review, which takes the ban back. */
async function lift({ id }: TestNode): Promise<void> {
  const { reports } = must(await admin('GET', `/v1/admin/reports?node_id=${id}`));
  must(await admin('POST', `/v1/admin/reports/review?report_id=${reports[0].report_id}&verdict=dismiss`));
}

async function pass(hours: number): Promise<void> {
  world.clock.advance(hours * HOUR_MS);
  await sweep(world);
}

const locked = ({ escrowId }: Ordered) => has(world, escrowAccount(idOf('escrow', escrowId)));
const stateOf = async ({ escrowId }: Ordered): Promise<string | undefined> =>
  (await world.db.query<{ state: string }>(`select state from grid_escrows where id = $1`, [escrowId]))[0]?.state;
const heldDecisions = async ({ escrowId }: Ordered): Promise<unknown[]> => {
  const { disputes } = must(await admin('GET', '/v1/admin/disputes?reason=NODE_BANNED'));
  return disputes.filter((one: { escrow_id: string }) => one.escrow_id === escrowId);
};

/** Has whoever pays the vault wait. Answers what lets them go on. */
async function vaultOccupied(): Promise<() => Promise<void>> {
  const [held, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = world.db.transact(async (tx) => {
    await world.ledger.transfer(tx, systemOp(), {
      id: idOf('transfer', uuidv7(new Date())),
      type: 'deposit',
      description: 'For a test',
      legs: [
        { account: mint('TCK'), amount: tck(-1n) },
        { account: VAULT, amount: tck(1n) },
      ],
    });
    held.resolve();
    await over.promise;
  });
  await Promise.race([held.promise, holding]);
  return () => {
    over.resolve();
    return holding;
  };
}

/** Until so many wait for somebody else's lock. */
async function waiting(count: number): Promise<void> {
  const found = async () => {
    const [row] = await world.db.query<{ waiting: number }>(
      `select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return row?.waiting;
  };
  await expect.poll(found).toBe(count);
}

describe('what is due to a node that is banned', () => {
  test('for what it has sold stays in the escrow, for the operator to see, and is paid when the ban is taken back', async () => {
    const trade = await delivered(world);
    const purse = await purseOf(trade.seller);
    await ban(trade.seller);
    await pass(25);
    await pass(1);
    expect([await purse(), await locked(trade), await stateOf(trade)]).toEqual([0, 5, 'AWAITING_SETTLEMENT']);
    expect(await heldDecisions(trade)).toEqual([
      expect.objectContaining({ action_taken: 'HELD', rule_details: { held_for: trade.seller.id } }),
    ]);
    expect((await settle(trade.buyer, trade.escrowId)).status).toBe(400);
    await expectSound(world);
    await lift(trade.seller);
    await sweep(world);
    expect([await purse(), await locked(trade), await stateOf(trade)]).toEqual([104.35, 0, 'SETTLED']);
    await expectSound(world);
  });

  test('of what it has locked away stays there too, and comes back to it when the ban is taken back', async () => {
    const trade = await ordered(world);
    const purse = await purseOf(trade.buyer);
    await ban(trade.buyer);
    await pass(73);
    expect([await purse(), await locked(trade), await stateOf(trade)]).toEqual([0, 5, 'PENDING']);
    await lift(trade.buyer);
    await sweep(world);
    expect([await purse(), await locked(trade), await stateOf(trade)]).toEqual([100, 0, 'REFUNDED']);
    await expectSound(world);
  });

  test('because a rule was broken stays in the escrow, until the ban is taken back', async () => {
    const trade = await delivered(world, { metadata: { output_schema: { required: ['summary'] } } });
    const purse = await purseOf(trade.buyer);
    await ban(trade.buyer);
    await pass(25);
    expect([await purse(), await locked(trade), await stateOf(trade)]).toEqual([0, 5, 'AWAITING_SETTLEMENT']);
    await lift(trade.buyer);
    await sweep(world);
    expect([await purse(), await stateOf(trade)]).toEqual([100, 'REFUNDED']);
  });

  test('is not paid by the word of the operator on a dispute either, who may decide for the other side', async () => {
    const trade = await delivered(world);
    const purse = await purseOf(trade.seller);
    must(
      await trade.buyer.call('POST', '/v1/tasks/dispute', { task_id: trade.taskId, reason: 'Not what I asked for.' }),
    );
    await ban(trade.seller);
    const decide = (way: string) =>
      admin('POST', `/v1/admin/disputes/resolve?escrow_id=${trade.escrowId}&resolution=${way}`);
    const refused = await decide('release_to_seller');
    expect(refused).toMatchObject({ status: 400, body: { detail: expect.stringContaining('banned') } });
    expect([await purse(), await stateOf(trade)]).toEqual([0, 'DISPUTED']);
    expect((await decide('refund_buyer')).body).toMatchObject({ status: 'REFUNDED', to: trade.buyer.id });
  });

  test('never reaches its wallet, also where the ban comes while it is being paid', async () => {
    const [trade, reporter] = [await delivered(world), await registerNode(world)];
    const purse = await purseOf(trade.seller);
    world.clock.advance(25 * HOUR_MS);
    const free = await vaultOccupied();
    const paying = sweep(world);
    await waiting(1);
    const banning = ban(trade.seller, reporter);
    await waiting(2);
    await free();
    await Promise.all([paying, banning]);
    expect([await purse(), await locked(trade), await stateOf(trade)]).toEqual([0, 0, 'SETTLED']);
    await expectSound(world);
  });

  test('for a solution never reaches its wallet, also where the ban comes while the award is paid', async () => {
    const [creator, solver, reporter] = [
      await registerNode(world),
      await registerNode(world),
      await registerNode(world),
    ];
    const purse = await purseOf(solver);
    const wish = { title: 'Summarise papers', description: 'A table with one row for each paper.', reward_tck: 20 };
    const path = `/v1/bounties/${must(await creator.call('POST', '/v1/bounties', wish)).bounty_id}`;
    const made = must(await solver.call('POST', `${path}/submissions`, { content: 'Here is the table.' }));
    const free = await vaultOccupied();
    const awarding = creator.call('POST', `${path}/award`, { submission_id: made.submission_id });
    await waiting(1);
    const banning = ban(solver, reporter);
    await waiting(2);
    await free();
    const [awarded] = await Promise.all([awarding, banning]);
    expect([awarded.status, await purse()]).toEqual([200, 0]);
    await expectSound(world);
  });

  test('is not called overdue on the dashboard', async () => {
    const trades = [await delivered(world), await ordered(world)] as const;
    await ban(trades[0].seller);
    await ban(trades[1].buyer);
    await pass(73);
    const { settle: toSettle, refund } = (await world.grid.figures.desk({ now: world.clock.now() } as never)).due;
    expect([toSettle.count, refund.count]).toEqual([0, 0]);
  });
});

describe('the other side of a trade with a node that is banned', () => {
  test('is paid for what it has delivered, and has its money back where nothing was', async () => {
    const [sold, bought] = [await delivered(world), await ordered(world, {}, {}, await pair(world))];
    const [seller, buyer] = [await purseOf(sold.seller), await purseOf(bought.buyer)];
    await ban(sold.buyer);
    await ban(bought.seller);
    await pass(73);
    expect([await seller(), await buyer()]).toEqual([104.35, 100]);
    await expectSound(world);
  });

  test('has its money back where a rule was broken', async () => {
    const trade = await delivered(world, { metadata: { output_schema: { required: ['summary'] } } });
    const purse = await purseOf(trade.buyer);
    await ban(trade.seller);
    await pass(25);
    expect([await purse(), await stateOf(trade)]).toEqual([100, 'REFUNDED']);
  });
});
