import { afterAll, describe, expect, test } from 'vitest';
import { HOUR } from '../../src/kernel/time.ts';
import { startApis, statusesOf } from '../harness/apis.ts';
import { accountOp, systemOp } from '../harness/op.ts';
import { accountOf, balanceOf } from './money.ts';
import { publish, registerNode, type TestNode } from './node.ts';

const world = await startApis();
afterAll(() => world.close());

const run = (caller: TestNode, suite: string, skill: string, headers = {}) =>
  caller.call('POST', `/v1/benchmarks/${suite}/run?skill_id=${skill}`, undefined, headers);
const look = async (id: string) => (await world.call('GET', `/v1/benchmarks/runs/${id}`)).body;
const suite = async (id: string) => (await world.call('GET', `/v1/benchmarks/${id}`)).body;
const judgeDue = () => world.grid.benchmarks.judgeDue(systemOp(world.clock.now()));
const SCHEMA = { type: 'object', required: ['words'], properties: { words: { type: 'integer' } } };

type Result = { case_id: number; task_ids: string[]; input: { text: string } };

/** What a seller's program does with its questions. */
async function answer(
  seller: TestNode,
  results: Result[],
  say: (result: Result, time: number) => Record<string, unknown> | undefined,
): Promise<void> {
  const op = accountOp(await accountOf(seller), { now: world.clock.now() });
  const atWork = await world.grid.nodes.enter(op, { keyOnly: false });
  for (const result of results)
    for (const [time, taskId] of result.task_ids.entries()) {
      const output = say(result, time);
      if (output) await world.grid.escrow.complete(atWork, { taskId, output, proofHash: '0'.repeat(64) });
    }
}

/** A seller with a skill, and somebody who puts it to the test. */
async function pair(metadata: object = {}) {
  const [seller, caller] = [await registerNode(world), await registerNode(world)];
  return { seller, caller, skill: await publish(seller, { label: 'sentiment_v1', metadata }) };
}

describe('the suites', () => {
  test('are shown with every question and what is expected', async () => {
    const { body } = await world.call('GET', '/v1/benchmarks');
    expect(body.suites.map(({ id, test_cases: cases }: { id: string; test_cases: number }) => [id, cases])).toEqual([
      ['sentiment_basic', 5],
      ['schema_compliance', 1],
      ['deterministic_echo', 1],
    ]);
    expect((await suite('sentiment_basic')).cases[0]).toEqual({
      case_id: 0,
      input: { text: expect.any(String) },
      check_type: 'field_match',
      expected_field: 'sentiment',
      expected_value: 'positive',
    });
    expect((await world.call('GET', '/v1/benchmarks/none')).body).toEqual({
      detail: 'Benchmark suite not found: none',
    });
  });
});

describe('a skill that is put to the test', () => {
  test('is scored by what it answers, costs nothing, and is verified when it passes', async () => {
    const { seller, caller, skill } = await pair();
    const { status, body } = await run(caller, 'sentiment_basic', skill);
    expect([status, body.status, body.cases_total, body.score]).toEqual([200, 'running', 5, null]);
    expect(body.results[0]).toMatchObject({ case_id: 0, task_id: expect.any(String), status: 'pending' });
    const { cases } = await suite('sentiment_basic');
    await answer(seller, body.results, ({ case_id: index }) => ({ sentiment: cases[index].expected_value }));
    expect(await look(body.benchmark_id)).toMatchObject({
      status: 'passed',
      score: 1,
      cases_passed: 5,
      ended_at: expect.any(String),
    });
    expect([await balanceOf(world, caller), await balanceOf(world, seller)]).toEqual([100, 99.5]);
    const verified = async () => (await suite('sentiment_basic')).verified_skills;
    expect(await verified()).toContainEqual({
      skill_id: skill,
      label: 'sentiment_v1',
      seller_id: seller.id,
      passed_at: expect.any(String),
    });
    // The last time that it answered counts.
    const again = await run(caller, 'sentiment_basic', skill);
    await answer(seller, again.body.results, () => ({ sentiment: 'positive' }));
    expect(await judgeDue()).toBe(1);
    expect(await look(again.body.benchmark_id)).toMatchObject({
      status: 'failed',
      score: 0.4,
      results: [
        { status: 'passed' },
        { status: 'failed', note: "sentiment is 'positive' and not 'negative'" },
        {},
        {},
        {},
      ],
    });
    expect(await verified()).toEqual([]);
  });

  test('has to keep to the schema that it declares', async () => {
    const { seller, caller, skill } = await pair({ output_schema: SCHEMA });
    for (const [words, status] of [
      [3, 'passed'],
      ['three', 'failed'],
    ]) {
      const { body } = await run(caller, 'schema_compliance', skill);
      await answer(seller, body.results, () => ({ words }));
      expect((await look(body.benchmark_id)).status).toBe(status);
    }
    const without = await pair();
    expect(await run(without.caller, 'schema_compliance', without.skill)).toMatchObject({
      status: 400,
      body: { detail: 'This skill declares no output_schema' },
    });
  });

  test('is asked twice where its answers have to be alike', async () => {
    const { seller, caller, skill } = await pair();
    const alike = await run(caller, 'deterministic_echo', skill);
    expect(alike.body.results[0].task_ids).toHaveLength(2);
    await answer(seller, alike.body.results, (_, time) => ({ text: `${time}` }));
    expect((await look(alike.body.benchmark_id)).status).toBe('passed');
    const unlike = await run(caller, 'deterministic_echo', skill);
    await answer(seller, unlike.body.results, (_, time) => ({ [`field${time}`]: 1 }));
    expect((await look(unlike.body.benchmark_id)).status).toBe('failed');
  });

  test('may be put to the test by its own seller', async () => {
    const { seller, skill } = await pair();
    expect((await run(seller, 'deterministic_echo', skill)).status).toBe(200);
  });

  test('that does not answer in time is neither passed nor failed, and is asked no more', async () => {
    const { seller, caller, skill } = await pair();
    const { body } = await run(caller, 'sentiment_basic', skill);
    await answer(seller, body.results, ({ case_id: index }) => (index === 0 ? { sentiment: 'positive' } : undefined));
    expect(await judgeDue()).toBe(0);
    expect(await look(body.benchmark_id)).toMatchObject({
      status: 'running',
      results: [{ status: 'passed' }, { status: 'pending' }, {}, {}, {}],
    });
    world.clock.advance(HOUR);
    expect(await judgeDue()).toBeGreaterThanOrEqual(1);
    expect(await look(body.benchmark_id)).toMatchObject({ status: 'expired', score: null });
    await expect(answer(seller, body.results.slice(1), () => ({ sentiment: 'negative' }))).rejects.toMatchObject({
      code: 'invalid',
    });
    expect((await suite('sentiment_basic')).verified_skills).toEqual([]);
  });
});

describe('a run', () => {
  test('is one at a time for each caller, suite and skill, also when they come at once', async () => {
    const { caller, skill } = await pair();
    const replies = await Promise.all(Array.from({ length: 4 }, () => run(caller, 'sentiment_basic', skill)));
    expect(statusesOf(replies)).toEqual([200, 409, 409, 409]);
    const [{ tasks } = { tasks: 0n }] = await world.db.query<{ tasks: bigint }>(
      `select count(*) as tasks from grid_tasks where buyer_id = $1`,
      [caller.id],
    );
    expect(tasks).toBe(5n);
  });

  test('is the same one for a request that is repeated under its key', async () => {
    const { caller, skill } = await pair();
    const headers = { 'idempotency-key': 'run' };
    const first = await run(caller, 'sentiment_basic', skill, headers);
    await world.db.query('delete from idempotency_records');
    expect((await run(caller, 'sentiment_basic', skill, headers)).body).toEqual(first.body);
  });

  test('is judged once by any number of processes', async () => {
    const { seller, caller, skill } = await pair();
    const { body } = await run(caller, 'sentiment_basic', skill);
    await answer(seller, body.results, () => ({ sentiment: 'neutral' }));
    const ended = await Promise.all([judgeDue(), judgeDue(), look(body.benchmark_id)]);
    expect((await look(body.benchmark_id)).status).toBe('failed');
    const facts = await world.db.query(`select type from facts where subject = $1`, [body.benchmark_id]);
    expect([facts, ended[2].status]).toEqual([[{ type: 'benchmark.failed' }], 'failed']);
  });

  test('wants a suite and a skill that there are', async () => {
    const { caller, skill } = await pair();
    expect((await run(caller, 'none', skill)).status).toBe(404);
    expect((await run(caller, 'sentiment_basic', 'nonsense')).status).toBe(404);
    expect((await caller.call('POST', '/v1/benchmarks/sentiment_basic/run')).status).toBe(422);
    expect((await world.call('GET', '/v1/benchmarks/runs/nonsense')).status).toBe(404);
  });
});
