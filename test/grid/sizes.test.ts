import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifiedSkills } from '../../src/domains/grid/benchmarks/store.ts';
import { labelsOf } from '../../src/domains/grid/bridge/capability.ts';
import { cheapestMatch } from '../../src/domains/grid/bridge/store.ts';
import { hiredSkills } from '../../src/domains/grid/escrow/skill-store.ts';
import { listTasks } from '../../src/domains/grid/escrow/task-store.ts';
import { search } from '../../src/domains/grid/market/store.ts';
import type { NodeId } from '../../src/kernel/ids.ts';
import { startApis } from '../harness/apis.ts';
import { give } from './money.ts';
import { publish, registerNode, type TestNode } from './node.ts';
import { rowsReadBy } from './rows.ts';
import { must } from './trades.ts';

const world = await startApis();
afterAll(() => world.close());

const MEGABYTE = 1_000_000;
const sizeOf = (body: unknown): number => JSON.stringify(body).length;

describe('what everybody may ask for, of what others have written', () => {
  let seller: TestNode;
  let heavy: string;
  let light: string;
  beforeAll(async () => {
    seller = await registerNode(world);
    const schema = { type: 'object', description: 'x'.repeat(20_000) };
    const metadata = {
      input_schema: schema,
      output_schema: schema,
      category: 'sizes',
      description: 'y'.repeat(5_000),
    };
    heavy = await publish(seller, { label: 'Heavy', metadata });
    light = await publish(seller, {
      label: 'Light',
      metadata: { input_schema: { type: 'string' }, category: 'sizes' },
    });
  });

  test('the agent card shows small schemas as they are, and none that are large', async () => {
    const { skills } = must(await world.call('GET', '/.well-known/agent.json'));
    const shown = (id: string) => skills.find((skill: { id: string }) => skill.id === id);
    expect(shown(light).inputSchema).toEqual({ type: 'string' });
    expect([shown(heavy).inputSchema, shown(heavy).outputSchema]).toEqual([{ type: 'object' }, { type: 'object' }]);
    expect(sizeOf(shown(heavy))).toBeLessThan(1_000);
  });

  test('so does a look for skills, which cuts long descriptions', async () => {
    const { skills } = must(await world.call('GET', '/v1/a2a/discover?category=sizes'));
    expect(skills.map((skill: { description: string }) => skill.description.length)).toEqual([1_000, 0]);
  });

  test('the market shows metadata as it is, leaves out what is large of it, and says so; the skill’s page has all', async () => {
    const { listings } = must(await world.call('GET', '/v1/marketplace?category=sizes'));
    expect(listings).toHaveLength(2);
    expect(listings[0].metadata).toEqual({ category: 'sizes', description: 'y'.repeat(1_000) });
    expect(listings[0].metadata_truncated).toBe(true);
    expect(listings[1].metadata).toEqual({ input_schema: { type: 'string' }, category: 'sizes' });
    expect(listings[1]).not.toHaveProperty('metadata_truncated');
    const { metadata } = must(await world.call('GET', `/v1/skills/${heavy}/page`));
    expect([metadata.input_schema.description.length, metadata.description.length]).toEqual([20_000, 5_000]);
  });

  test('a bounty shows a page of what was handed in, and says how much there is', async () => {
    const creator = await registerNode(world);
    await give(world, creator, 100);
    const wish = { title: 'A bounty', description: 'Something to be done.', reward_tck: 10 };
    const { bounty_id: id } = must(await creator.call('POST', '/v1/bounties', wish));
    // As three hundred solvers would, each with as much as one may hand in.
    await world.db.query(
      `insert into grid_submissions (id, bounty_id, solver_id, content, state, created_at, reviewed_at)
       select gen_random_uuid(), $1, $2, repeat('z', 10000), 'rejected', now(), now() from generate_series(1, 300)`,
      [id, seller.id],
    );
    const look = async (query = '') => must(await world.call('GET', `/v1/bounties/${id}${query}`));
    const whole = await look();
    expect([whole.submission_count, whole.submissions.length]).toEqual([300, 100]);
    expect(sizeOf(whole)).toBeLessThan(1.1 * MEGABYTE);
    const ids = new Set<string>();
    for (const from of [0, 100, 200])
      for (const one of (await look(`?submissions_limit=100&submissions_offset=${from}`)).submissions) ids.add(one.id);
    expect(ids.size).toBe(300);
    expect((await look('?submissions_limit=0')).submissions).toEqual([]);
    expect((await world.call('GET', `/v1/bounties/${id}?submissions_limit=101`)).status).toBe(422);
  });
});

test('a seller’s statistics are without the metadata of its skills', async () => {
  const seller = await registerNode(world);
  const id = await publish(seller, { label: 'Mine', price: 2, metadata: { note: 'z'.repeat(40_000) } });
  expect(await hiredSkills(world.db, seller.id as NodeId)).toEqual([
    { id, label: 'Mine', price: 20_000n, timesHired: 0 },
  ]);
});

test('workers who ask for what is to be done do not have all read that has been done', async () => {
  const [buyer, seller] = [await registerNode(world), await registerNode(world)];
  const [sold, bought] = [await publish(seller), await publish(buyer)];
  const order = async (by: TestNode, skill: string): Promise<string> =>
    must(await by.call('POST', '/v1/tasks/create', { skill_id: skill, input_data: {} })).task_id;
  const open = [await order(buyer, sold), await order(seller, bought), await order(buyer, sold)];
  await world.db.query(
    `insert into grid_tasks (id, skill_id, buyer_id, seller_id, input, output, status, shadow, created_at)
     select gen_random_uuid(), $3, $1, $2, '{}', '{}', 'COMPLETED', true, now() from generate_series(1, 20000)`,
    [buyer.id, seller.id, sold],
  );
  await world.db.query('analyze grid_tasks');
  for (const [role, ids] of [
    ['seller', [open[0], open[2]]],
    ['buyer', [open[1]]],
    ['any', open],
  ] as const) {
    const read = await rowsReadBy(world, ['grid_tasks'], async (tx) => {
      const found = await listTasks(tx, seller.id as NodeId, { status: 'OPEN', role, after: 0n, limit: 20 });
      expect(found.map(({ task }) => task.id)).toEqual(ids);
    });
    expect([role, read < 50]).toEqual([role, true]);
  }
});

test('whose skill has passed is found without reading all runs that there were', async () => {
  const seller = await registerNode(world);
  const skills = [await publish(seller), await publish(seller)];
  const passedAt = new Date('2026-03-18T12:00:00Z');
  // Thousands of runs of each; the last of the first has passed, that of the second has failed.
  for (const [skill, last] of [
    [skills[0], 'passed'],
    [skills[1], 'failed'],
  ] as const)
    await world.db.query(
      `insert into grid_benchmark_runs (id, suite, skill_id, caller_id, state, verdicts, due_at, created_at, ended_at)
       select gen_random_uuid()::text, 'sentiment_basic', $1, $2, case when n = 5000 then $3 else 'failed' end, '[]', $4, $4, $4
         from generate_series(1, 5000) n`,
      [skill, seller.id, last, passedAt],
    );
  await world.db.query('analyze grid_benchmark_runs');
  const read = await rowsReadBy(world, ['grid_benchmark_runs'], async (tx) => {
    const found = await verifiedSkills(tx, 'sentiment_basic', 100);
    const passed = found.filter(({ passedAt: at }) => at.getTime() === passedAt.getTime());
    expect(passed.map(({ skillId }) => skillId)).toEqual([skills[0]]);
  });
  expect(read).toBeLessThan(100);
});

describe('the market', () => {
  test('finds text wherever it stands, takes none for a pattern, and knows what everything costs behind its last page', async () => {
    const node = await registerNode(world);
    const words = { a: 'Straße_1', b: '100% \\ sure', c: 'ÄRGER' };
    for (const [label, description] of Object.entries(words))
      await publish(node, { label: `odd-${label}`, price: 2, metadata: { description } });
    const find = async (q: string, more = '') =>
      must(await world.call('GET', `/v1/marketplace?q=${encodeURIComponent(q)}${more}`));
    const labels = async (q: string) => (await find(q)).listings.map(({ label }: { label: string }) => label);
    expect(await labels('straße_')).toEqual(['odd-a']);
    expect(await labels('0% \\')).toEqual(['odd-b']);
    expect(await labels('%')).toEqual(['odd-b']);
    expect(await labels('_')).toEqual(['odd-a']);
    expect(await labels('ärger')).toEqual(['odd-c']);
    expect(await find('odd-', '&offset=100')).toMatchObject({
      total: 3,
      price_stats: { min: '2.00', median: '2.00' },
      listings: [],
    });
  });

  test('reads a page from among many thousands without reading what is not on it', async () => {
    const node = await registerNode(world);
    await world.db.query(
      `insert into grid_skills (id, node_id, type, label, price, metadata, created_at)
       select gen_random_uuid(), $1, 'SKILL_OFFER', 'bulk ' || n, 10000, jsonb_build_object('description', md5(n::text)), now()
         from generate_series(1, 20000) n`,
      [node.id],
    );
    await world.db.query('analyze grid_skills');
    const read = await rowsReadBy(world, ['grid_skills'], async (tx) => {
      const { total, skills } = await search(tx, { text: 'BULK 1977', sandbox: false, limit: 2, offset: 0 });
      expect([total, skills.length]).toEqual([11, 2]);
    });
    expect(read).toBeLessThan(1_000);
  });

  test('hires among many thousands without reading those that are of something else', async () => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    await publish(seller, { label: 'A Diff-Analyzer', price: 2 });
    const cheap = await publish(seller, { label: 'diff_analyzer', price: 1 });
    await publish(seller, { label: 'diffXanalyzer', price: 0.5, metadata: { description: 'a diff analyzer' } });
    const words = labelsOf({ name: 'diff-analyzer' });
    const read = await rowsReadBy(world, ['grid_skills'], async (tx) => {
      const found = await cheapestMatch(tx, words, { id: buyer.id as NodeId, sandbox: false, house: [] });
      expect(found?.skillId).toBe(cheap);
    });
    expect(read).toBeLessThan(100);
  });
});
