import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { ADMIN_KEY, startApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { expectSound } from './money.ts';
import { publish, registerNode, type TestNode } from './node.ts';
import { complete, HOUR_MS, settle } from './trades.ts';

const world = await startApis();
afterAll(() => world.close());

/** Prices at which three hundredths are no whole units. */
const PRICES = [0.0001, 0.0033, 0.0034, 0.5, 0.01, 1.2345, 7.7777, 33.33];
const STEPS = 160;
/** Steps that are taken at the same time. */
const AT_ONCE = 8;

type Trade = { buyer: TestNode; seller: TestNode; taskId: string; escrowId: string };
type Step = { kind: 'order' | 'complete' | 'dispute' | 'settle' | 'resolve' | 'wait' | 'sweep'; pick: number };

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom<Step['kind']>(
      'order',
      'order',
      'complete',
      'complete',
      'dispute',
      'settle',
      'resolve',
      'wait',
      'sweep',
    ),
    pick: fc.nat(1_000_000),
  }),
  { minLength: STEPS, maxLength: STEPS },
);

type Market = { nodes: TestNode[]; skills: { id: string; seller: TestNode }[]; trades: Trade[] };

async function openMarket(): Promise<Market> {
  const nodes = await Promise.all(Array.from({ length: 4 }, () => registerNode(world)));
  const skills = [];
  for (const [n, price] of PRICES.entries()) {
    const seller = nodes[n % nodes.length]!;
    const metadata = n % 3 === 0 ? { output_schema: { required: ['good'] } } : {};
    skills.push({ id: await publish(seller, { price, metadata }), seller });
  }
  return { nodes, skills, trades: [] };
}

/** One step; that it is refused is as good as that it is done. */
async function take({ nodes, skills, trades }: Market, { kind, pick }: Step): Promise<void> {
  const op = systemOp(world.clock.now());
  const trade = trades[pick % Math.max(1, trades.length)];
  if (kind === 'wait') return world.clock.advance((pick % 30) * HOUR_MS);
  if (kind === 'sweep') {
    await world.grid.escrow.settleAll(op);
    await world.grid.escrow.refundAll(op);
  } else if (kind === 'order') {
    const skill = skills[pick % skills.length]!;
    const buyer = nodes[(pick >> 3) % nodes.length]!;
    const body = { skill_id: skill.id, input_data: {} };
    const reply = await buyer.call('POST', '/v1/tasks/create', body);
    if (reply.status === 200)
      trades.push({ buyer, seller: skill.seller, taskId: reply.body.task_id, escrowId: reply.body.escrow_id });
    else expect([400, 402]).toContain(reply.status);
  } else if (trade && kind === 'complete') {
    const output = pick % 2 === 0 ? { good: 1 } : { bad: 1 };
    expect([200, 400]).toContain((await complete(trade.seller, trade.taskId, output)).status);
  } else if (trade && kind === 'dispute') {
    const body = { task_id: trade.taskId, reason: 'x' };
    expect([200, 400]).toContain((await trade.buyer.call('POST', '/v1/tasks/dispute', body)).status);
  } else if (trade && kind === 'settle') {
    expect([200, 400]).toContain((await settle(trade.seller, trade.escrowId)).status);
  } else if (trade) {
    const way = pick % 2 === 0 ? 'refund_buyer' : 'release_to_seller';
    const path = `/v1/admin/disputes/resolve?escrow_id=${trade.escrowId}&resolution=${way}`;
    expect([200, 400]).toContain((await world.call('POST', path, { key: ADMIN_KEY })).status);
  }
}

type Parts = { minted: bigint; elsewhere: bigint; escrows: bigint; held: bigint };

/** What was minted, where it is, and what the escrows that are open say that they hold: all at one moment. */
async function parts(): Promise<Parts> {
  const [row] = await world.db.query<Record<keyof Parts, string>>(
    `select coalesce(-sum(posted) filter (where kind = 'mint'), 0)::text as minted,
            coalesce(sum(posted) filter (where kind <> 'mint'), 0)::text as elsewhere,
            coalesce(sum(posted) filter (where kind = 'escrow'), 0)::text as escrows,
            (select coalesce(sum(amount), 0)::text from grid_escrows where state not in ('SETTLED', 'REFUNDED')) as held
       from ledger_accounts where currency = 'TCK'`,
  );
  const read = (name: keyof Parts) => BigInt(row?.[name] ?? '0');
  return { minted: read('minted'), elsewhere: read('elsewhere'), escrows: read('escrows'), held: read('held') };
}

test('whatever is done at once, no unit of TCK is made or lost, and the books are sound meanwhile', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const market = await openMarket();
      for (let from = 0; from < all.length; from += AT_ONCE) {
        const together = all.slice(from, from + AT_ONCE).map((step) => take(market, step));
        const { minted, elsewhere, escrows, held } = await parts();
        expect([elsewhere, escrows]).toEqual([minted, held]);
        await expectSound(world);
        await Promise.all(together);
      }
      const end = await parts();
      expect([end.elsewhere, end.escrows]).toEqual([end.minted, end.held]);
    }),
    { numRuns: 3, endOnFailure: true },
  );
});

test('when everything has ended, nothing is left in any escrow', async () => {
  world.clock.advance(200 * HOUR_MS);
  const op = systemOp(world.clock.now());
  await world.grid.escrow.settleAll(op);
  await world.grid.escrow.refundAll(op);
  const [row] = await world.db.query<{ open: string; left: string }>(
    `select (select count(*)::text from grid_escrows where state in ('PENDING', 'AWAITING_SETTLEMENT')) as open,
            (select coalesce(sum(a.posted), 0)::text from ledger_accounts a join grid_escrows e
                on a.code = 'escrow:' || e.id || ':TCK' where e.state in ('SETTLED', 'REFUNDED')) as left`,
  );
  expect(row).toEqual({ open: '0', left: '0' });
  await expectSound(world);
});
