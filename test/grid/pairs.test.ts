/** Every pair of transitions that start from one state, raced between two processes: one wins, and the money agrees. */
import { afterAll, describe, expect, test } from 'vitest';
import { TRANSITIONS, type EscrowEvent } from '../../src/domains/grid/escrow/escrow.ts';
import { escrow as escrowAccount } from '../../src/domains/ledger/index.ts';
import type { EscrowId } from '../../src/kernel/ids.ts';
import { startApis, statusesOf, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { startReceiver } from '../webhooks/receiver.ts';
import { balanceOf, expectSound, has } from './money.ts';
import { nodeWith, type TestNode } from './node.ts';
import { complete, delivered, HOUR_MS, must, ordered, pair, type Ordered } from './trades.ts';

const world = await startApis();
const other = await startApis({ over: world });
/** Passes the first output that it is shown and fails the next: two that judge at once come to different ends. */
const program = await startReceiver(
  (reply, _arrival, count) =>
    void reply.writeHead(200).end(JSON.stringify({ result: count % 2 === 0 ? 'FAIL' : 'PASS' })),
);
afterAll(async () => {
  await program.close();
  await other.close();
  await world.close();
});

const ROUNDS = 6;
const WINDOW = 24 * HOUR_MS;
const TIMEOUT = 72 * HOUR_MS;
/** What a delivery that breaks its skill's promise is judged by. */
const BROKEN = { metadata: { output_schema: { required: ['never'] } } };

const opAt = (offsetMs = 0) => systemOp(new Date(world.clock.now().getTime() + offsetMs));
const through = (process: TestApis, { id, key }: TestNode): TestNode => nodeWith(process, id, { api_key: key });

type Contender = (process: TestApis, task: Ordered) => Promise<unknown>;
const settleSweep: Contender = (process) => process.grid.escrow.settleAll(opAt(WINDOW));
const resolve =
  (way: string): Contender =>
  (process, { escrowId }) =>
    process.grid.escrow.resolve(opAt(), escrowId, way).catch(() => undefined);

/** How each comes about, in whichever process. Sweeps have a clock that is ahead, so that what they race is in time. */
const CONTENDERS: Record<EscrowEvent, Contender> = {
  deliver: (process, { seller, taskId }) => complete(through(process, seller), taskId),
  time_out: (process) => process.grid.escrow.refundAll(opAt(TIMEOUT)),
  settle: settleSweep,
  break_rule: settleSweep,
  dispute: (process, { buyer, taskId }) =>
    through(process, buyer).call('POST', '/v1/tasks/dispute', { task_id: taskId, reason: 'No.' }),
  release: resolve('release_to_seller'),
  give_back: resolve('refund_buyer'),
};

const EVENTS = Object.keys(TRANSITIONS) as EscrowEvent[];
const PAIRS = EVENTS.flatMap((a, n) =>
  EVENTS.slice(n).flatMap((b): [EscrowEvent, EscrowEvent][] =>
    TRANSITIONS[a].from === TRANSITIONS[b].from ? [[a, b]] : [],
  ),
);

/** An escrow in the state that both start from. */
async function prepare(a: EscrowEvent, b: EscrowEvent): Promise<Ordered> {
  const { from } = TRANSITIONS[a];
  if (from === 'PENDING') return ordered(world);
  if (a === 'settle' && b === 'break_rule') return judgedByProgram();
  const task = await delivered(world, b === 'break_rule' ? BROKEN : {});
  if (from === 'DISPUTED') await CONTENDERS.dispute(world, task);
  return task;
}

/** What is delivered is judged by a program of its buyer's. */
async function judgedByProgram(): Promise<Ordered> {
  const both = await pair(world);
  const wish = { name: 'unsteady', type: 'webhook', config: { url: program.url } };
  const { validator_id: id } = must(await both.buyer.call('POST', '/v1/validators', wish));
  return delivered(world, {}, { validator_ids: [id] }, both);
}

/** Who has the 5 TCK of the trade. The seller has paid 0.50 to publish. */
const MONEY: Record<string, number[]> = { SETTLED: [95, 104.35, 0], REFUNDED: [100, 99.5, 0] };
const FACTS = { PENDING: 0, AWAITING_SETTLEMENT: 1, SETTLED: 1, REFUNDED: 1, DISPUTED: 1 };

test('there are twelve of them', () => expect(PAIRS).toHaveLength(12));

describe.each(PAIRS)('%s against %s:', (a, b) => {
  test('one of them has it', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const task = await prepare(a, b);
      const before = await factsOf(task);
      const runs = [() => CONTENDERS[a](world, task), () => CONTENDERS[b](other, task)];
      await Promise.all((round % 2 === 0 ? runs : runs.toReversed()).map((run) => run()));
      const { status } = must(await task.buyer.call('GET', `/v1/trade/escrow/${task.escrowId}`));
      expect([TRANSITIONS[a].to, TRANSITIONS[b].to]).toContain(status);
      expect((await factsOf(task)) - before).toBe(FACTS[status as keyof typeof FACTS]);
      const money = [
        await balanceOf(world, task.buyer),
        await balanceOf(world, task.seller),
        await has(world, escrowAccount(task.escrowId as EscrowId)),
      ];
      expect([status, ...money]).toEqual([status, ...(MONEY[status] ?? [95, 99.5, 5])]);
    }
    await expectSound(world);
  }, 60_000);
});

/** How often it was told that something has become of an escrow. */
async function factsOf({ escrowId }: Ordered): Promise<number> {
  const rows = await world.db.query(`select 1 from facts where subject = $1 and type <> 'escrow.locked'`, [escrowId]);
  return rows.length;
}

describe('a task', () => {
  const claim = (process: TestApis, { seller, taskId }: Ordered) =>
    through(process, seller).call('POST', `/v1/tasks/${taskId}/claim`);

  test('two workers of one seller claim it in two processes: one has it', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const task = await ordered(world);
      expect(statusesOf(await Promise.all([claim(world, task), claim(other, task)]))).toEqual([200, 409]);
    }
  });

  test('a claim and a delivery at once: it is delivered, whoever comes first', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const task = await ordered(world);
      const [claimed, completed] = await Promise.all([
        claim(world, task),
        complete(through(other, task.seller), task.taskId),
      ]);
      expect([200, 409]).toContain(claimed.status);
      expect(completed.status).toBe(200);
      const { tasks } = must(await task.seller.call('GET', '/v1/tasks/mine?status=COMPLETED'));
      expect(tasks).toHaveLength(1);
    }
  });
});
