import { afterAll, describe, expect, test } from 'vitest';
import { readTotals, type Totals } from '../../src/domains/grid/figures/totals-store.ts';
import { openDatabase } from '../../src/platform/db.ts';
import { ADMIN_KEY, startApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { give } from './money.ts';
import { publish, registerNode, type TestNode } from './node.ts';
import { rowsReadBy } from './rows.ts';
import { complete, HOUR_MS, must, runSweep, sandboxNode, sweep } from './trades.ts';

const world = await startApis();
afterAll(() => world.close());

const addUp = () => runSweep(world, 'grid.add-up');

/** What the tables say, every row of them. */
const COUNTED = {
  escrow: `select e.state as name, count(*), sum(e.amount)::bigint as amount
             from grid_escrows e join grid_nodes b on b.id = e.buyer_id where not b.sandbox group by 1`,
  task: `select t.status as name, count(*), 0::bigint as amount
           from grid_tasks t join grid_nodes b on b.id = t.buyer_id where not t.shadow and not b.sandbox group by 1`,
  bounty: `select state as name, count(*), sum(reward)::bigint as amount from grid_bounties where not sandbox group by 1`,
  via: `select t.via as name, count(*), 0::bigint as amount
          from grid_tasks t join grid_nodes b on b.id = t.buyer_id where not t.shadow and not b.sandbox group by 1`,
} satisfies Record<keyof Totals, string>;

async function expectTrue(): Promise<void> {
  const totals = await readTotals(world.db);
  for (const [kind, counted] of Object.entries(COUNTED)) {
    const rows = await world.db.query<{ name: string; count: bigint; amount: bigint }>(counted);
    const expected = rows.map(({ name, count, amount }) => [name, { count: Number(count), amount }]);
    expect([kind, Object.fromEntries(totals[kind as keyof Totals])]).toEqual([kind, Object.fromEntries(expected)]);
  }
}

/** One task in each state that there is, one bounty in each, and the same of nodes that only play. */
async function everything(buyer: TestNode, seller: TestNode): Promise<void> {
  const skill = await publish(seller, { price: 1.5 });
  const order = async (more: object = {}): Promise<string> =>
    must(await buyer.call('POST', '/v1/tasks/create', { skill_id: skill, input_data: {}, ...more })).task_id;
  const delivered = async (output: object = { text: 'Hello' }): Promise<string> => {
    const id = await order();
    must(await complete(seller, id, output));
    return id;
  };
  const dispute = async () => {
    const id = await delivered();
    must(await buyer.call('POST', '/v1/tasks/dispute', { task_id: id, reason: 'No' }));
  };
  await order({ is_shadow: true });
  await Promise.all([delivered(), delivered({}), dispute(), dispute()]);
  world.clock.advance(25 * HOUR_MS);
  await sweep(world);
  const [, , claimed] = await Promise.all([order(), delivered(), order()]);
  must(await seller.call('POST', `/v1/tasks/${claimed}/claim`));
}

describe('what is over is added up, and the sum is that of all rows', () => {
  test('however often and whenever that is done, also by two at once', async () => {
    const [buyer, seller, player, playmate] = [
      await registerNode(world),
      await registerNode(world),
      await sandboxNode(world),
      await sandboxNode(world),
    ];
    await give(world, buyer, 1_000);
    await expectTrue();
    await addUp();
    for (let round = 0; round < 3; round++) {
      await everything(buyer, seller);
      await everything(player, playmate);
      await expectTrue();
      await Promise.all([addUp(), addUp()]);
      await expectTrue();
      world.clock.advance((20 * HOUR_MS) / 60);
      await addUp();
      await expectTrue();
    }
  });

  test('with what the operator decides and what bounties come to', async () => {
    const [creator, solver] = [await registerNode(world), await registerNode(world)];
    await give(world, creator, 1_000);
    const wish = { title: 'A bounty', description: 'Something to be done.', reward_tck: 10, deadline_days: 1 };
    const offer = async (): Promise<string> => must(await creator.call('POST', '/v1/bounties', wish)).bounty_id;
    const [won, taken] = [await offer(), await offer(), await offer()];
    const content = { content: 'Here it is.' };
    const made = must(await solver.call('POST', `/v1/bounties/${won}/submissions`, content));
    must(await creator.call('POST', `/v1/bounties/${won}/award`, { submission_id: made.submission_id }));
    must(await creator.call('POST', `/v1/bounties/${taken}/cancel`));
    const disputed = await world.db.query<{ id: string }>(
      `select id from grid_escrows where state = 'DISPUTED' and not sandbox`,
    );
    for (const [n, { id }] of disputed.entries()) {
      const way = n % 2 ? 'refund_buyer' : 'release_to_seller';
      must(
        await world.call('POST', `/v1/admin/disputes/resolve?escrow_id=${id}&resolution=${way}`, { key: ADMIN_KEY }),
      );
    }
    await expectTrue();
    world.clock.advance(25 * HOUR_MS);
    await runSweep(world, 'grid.expire-bounties');
    await addUp();
    await offer();
    await expectTrue();
    world.clock.advance(HOUR_MS);
    await addUp();
    await expectTrue();
  });
});

test('who looks reads what is going on, and not what has been', async () => {
  const [buyer, seller] = [await registerNode(world), await registerNode(world)];
  const skill = await publish(seller);
  const old = new Date(world.clock.now().getTime() - 48 * HOUR_MS);
  await world.db.query(
    `with made as (
       insert into grid_escrows (id, buyer_id, seller_id, amount, state, refund_at, settle_at, settled_at, created_at)
       select gen_random_uuid(), $1, $2, 10000, 'SETTLED', $4, $4, $4, $4 from generate_series(1, 30000) returning id)
     insert into grid_tasks (id, skill_id, buyer_id, seller_id, escrow_id, input, status, created_at)
     select gen_random_uuid(), $3, $1, $2, id, '{}', 'SETTLED', $4 from made`,
    [buyer.id, seller.id, skill, old],
  );
  // As those that lie before what was added up last.
  await world.db.query(
    `update grid_totals set count = count + 30000, amount = amount + case kind when 'escrow' then 300000000 else 0 end
      where (kind, name) in (('escrow', 'SETTLED'), ('task', 'SETTLED'), ('via', 'grid'))`,
  );
  const owner = openDatabase({ url: world.ownerUrl, onError: () => {} });
  for (const table of ['grid_escrows', 'grid_tasks']) await owner.query(`vacuum analyze ${table}`);
  await owner.close();
  await expectTrue();
  const read = await rowsReadBy(world, ['grid_escrows', 'grid_tasks'], readTotals);
  expect(read).toBeLessThan(10_000);
});

test('of deliveries those that wait are counted, and those that ended within a day', async () => {
  const now = world.clock.now();
  const before = (hours: number) => new Date(now.getTime() - hours * HOUR_MS);
  for (const [state, ended, next] of [
    ['delivered', before(1), before(1)],
    ['delivered', before(25), before(25)],
    ['exhausted', before(23), before(23)],
    ['failed', null, before(30)],
    ['pending', null, before(-1)],
  ] as const)
    await world.db.query(
      `insert into webhook_deliveries (id, account_id, type, subject, url, host, body, state, next_attempt_at, created_at, ended_at)
       values (gen_random_uuid()::text, gen_random_uuid(), 'node.reported', 'any', 'https://a.example', 'a.example', '{}', $1, $3, $3, $2)`,
      [state, ended, next],
    );
  expect(await world.webhooks.tally(systemOp(now))).toEqual({
    pending: 1,
    failed: 1,
    delivered: 1,
    exhausted: 1,
    waitingSince: before(30),
    disabledEndpoints: 0,
  });
});
