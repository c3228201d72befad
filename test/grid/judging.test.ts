import { afterAll, describe, expect, test } from 'vitest';
import { VAULT } from '../../src/domains/ledger/index.ts';
import { ADMIN_KEY, startApis } from '../harness/apis.ts';
import { startReceiver } from '../webhooks/receiver.ts';
import { balanceOf, expectSound, give, has } from './money.ts';
import { publish, registerNode } from './node.ts';
import { complete, delivered, HOUR_MS, must, ordered, pair, settle, sweep, type Ordered } from './trades.ts';

const world = await startApis();
afterAll(() => world.close());

const WINDOW = 24 * HOUR_MS;
/** Takes longer than the world exists. */
const ENDLESS = '^(a+)+$';
const BAIT = { text: `${'a'.repeat(100)}!` };

const receiptOf = async ({ buyer, taskId }: Ordered) => must(await buyer.call('GET', `/v1/tasks/${taskId}/receipt`));
const decided = async (task: Ordered) => {
  const { escrow, dispute_engine: log } = await receiptOf(task);
  return [escrow.status, ...log.map((each: { rule: string; action: string }) => `${each.rule} ${each.action}`)];
};
const judged = async (metadata: unknown, output: unknown) => {
  const task = await delivered(world, { metadata }, { output });
  world.clock.advance(WINDOW);
  await sweep(world);
  return decided(task);
};

describe('the rules', () => {
  test('give the money back for an empty output', async () => {
    expect(await judged({}, {})).toEqual(['REFUNDED', 'PROOF_MISSING AUTO_REFUND']);
  });

  test('give the money back for an output against its schema, and pay for one by it', async () => {
    const metadata = { output_schema: { type: 'object', required: ['score'] } };
    expect(await judged(metadata, { text: 'x' })).toEqual(['REFUNDED', 'SCHEMA_MISMATCH AUTO_REFUND']);
    expect(await judged(metadata, { score: 1 })).toEqual(['SETTLED']);
  });

  test('give the money back for an output that a validator of the skill refuses', async () => {
    const metadata = { validators: [{ type: 'contains', field: 'text', patterns: ['done'] }] };
    expect(await judged(metadata, { text: 'nothing' })).toEqual(['REFUNDED', 'VALIDATOR_FAILED AUTO_REFUND']);
    expect(await judged(metadata, { text: 'done' })).toEqual(['SETTLED']);
  });

  test('hold for a party that settles by itself too', async () => {
    const task = await delivered(world, { metadata: { output_schema: { required: ['score'] } } });
    world.clock.advance(WINDOW);
    expect((await settle(task.seller, task.escrowId)).body).toEqual({ status: 'REFUNDED', reason: 'SCHEMA_MISMATCH' });
    expect(await balanceOf(world, task.buyer)).toBe(100);
    expect((await settle(task.seller, task.escrowId)).status).toBe(400);
  });

  test('that somebody only tries out hold up nobody’s money', async () => {
    const { buyer, seller } = await pair(world);
    const skill_id = await publish(seller, {
      metadata: { validators: [{ type: 'regex', field: 'text', pattern: ENDLESS }] },
    });
    const { task_id: id } = must(await buyer.call('POST', '/v1/shadow/tasks/create', { skill_id, input_data: {} }));
    must(await complete(seller, id, BAIT));
    const honest = await delivered(world, { metadata: { output_schema: { type: 'object' } } }, { output: { a: 1 } });
    world.clock.advance(WINDOW);
    const ended: string[] = [];
    const simulated = [1, 2, 3].map(async () => {
      const { simulation } = must(await buyer.call('GET', `/v1/shadow/simulate/${id}`));
      ended.push(simulation.outcome);
    });
    await new Promise((resolve) => setTimeout(resolve, 300)); // they are before the court
    must(await settle(honest.seller, honest.escrowId));
    ended.push('settled');
    await Promise.all(simulated);
    expect(ended).toEqual(['settled', ...Array.from({ length: 3 }, () => 'FLAGGED_MANUAL')]);
  });

  test('that take for ever are the operator’s to decide, and hold up nobody', async () => {
    const hostile = await delivered(
      world,
      { metadata: { validators: [{ type: 'regex', field: 'text', pattern: ENDLESS }] } },
      { output: BAIT },
    );
    const honest = await delivered(world);
    world.clock.advance(WINDOW);
    const reply = await world.call('POST', '/v1/admin/escrows/auto-settle', { key: ADMIN_KEY });
    expect(reply.body).toMatchObject({
      status: 'OK',
      settled: 1,
      flagged: 1,
      failed: 0,
      tax_routed_to_vault: '0.1500',
    });
    expect(await decided(hostile)).toEqual(['DISPUTED', 'VALIDATOR_FAILED FLAGGED_MANUAL']);
    expect(await decided(honest)).toEqual(['SETTLED']);
  });
});

describe('a buyer’s own validators', () => {
  const keep = async (task: { buyer: Ordered['buyer'] }, type: string, config: unknown) =>
    must(await task.buyer.call('POST', '/v1/validators', { name: `my ${type}`, type, config })).validator_id as string;
  const results = async ({ buyer, taskId }: Ordered) =>
    must(await buyer.call('GET', `/v1/tasks/${taskId}/validations`)).results.map(
      (each: { result: string }) => each.result,
    );
  /** A task that is judged by one validator of its buyer. */
  const judgedBy = async (type: string, config: unknown, output: unknown) => {
    const both = await pair(world);
    const id = await keep(both, type, config);
    const task = await delivered(world, {}, { validator_ids: [id], output }, both);
    world.clock.advance(WINDOW);
    await sweep(world);
    return [...(await decided(task)), ...(await results(task))];
  };

  test('refund what they fail, and pay for what they pass', async () => {
    const refund = ['REFUNDED', 'VALIDATOR_FAILED AUTO_REFUND', 'FAIL'];
    expect(await judgedBy('schema', { schema: { required: ['a'] } }, { b: 1 })).toEqual(refund);
    expect(await judgedBy('schema', { schema: { required: ['a'] } }, { a: 1 })).toEqual(['SETTLED', 'PASS']);
    expect(await judgedBy('regex', { pattern: '^yes', field: 'a' }, { a: 'no' })).toEqual(refund);
    expect(await judgedBy('regex', { pattern: '^yes', field: 'a' }, { a: 'yes' })).toEqual(['SETTLED', 'PASS']);
  });

  test('that cannot tell hold up nobody’s money', async () => {
    expect(await judgedBy('regex', { pattern: ENDLESS, field: 'text' }, BAIT)).toEqual(['SETTLED', 'ERROR']);
    expect(await judgedBy('schema', { schema: { type: 'nonsense' } }, { a: 1 })).toEqual(['SETTLED', 'ERROR']);
  });

  test('ask a program of the buyer’s, which decides by FAIL only', async () => {
    let answer = { status: 200, body: JSON.stringify({ result: 'FAIL', details: { why: 'dull' } }) };
    const receiver = await startReceiver((reply) => void reply.writeHead(answer.status).end(answer.body));
    const { url } = receiver;
    try {
      const refund = ['REFUNDED', 'VALIDATOR_FAILED AUTO_REFUND', 'FAIL'];
      expect(await judgedBy('webhook', { url }, { a: 1 })).toEqual(refund);
      expect(JSON.parse(receiver.arrivals[0]?.body ?? '')).toEqual({ output: { a: 1 } });
      answer = { status: 200, body: JSON.stringify({ result: 'pass' }) };
      expect(await judgedBy('webhook', { url }, { a: 1 })).toEqual(['SETTLED', 'PASS']);
      answer = { status: 500, body: 'broken' };
      expect(await judgedBy('webhook', { url }, { a: 1 })).toEqual(['SETTLED', 'INCONCLUSIVE']);
    } finally {
      await receiver.close();
    }
  });

  test('are led nowhere by a program that sends them on, and hold up nobody’s money', async () => {
    const inside = await startReceiver((reply) => void reply.writeHead(200).end('{"result":"FAIL"}'));
    const outside = await startReceiver((reply) => void reply.writeHead(307, { location: inside.url }).end());
    try {
      expect(await judgedBy('webhook', { url: outside.url }, { a: 1 })).toEqual(['SETTLED', 'INCONCLUSIVE']);
      expect([outside.arrivals.length, inside.arrivals.length]).toEqual([1, 0]);
    } finally {
      await Promise.all([inside.close(), outside.close()]);
    }
  });

  test('are refused where they could not be used, and beyond twenty', async () => {
    const node = await registerNode(world);
    const create = (type: string, config: unknown) => node.call('POST', '/v1/validators', { name: 'x', type, config });
    expect((await create('schema', {})).body.detail).toContain("'schema' key");
    expect((await create('regex', {})).body.detail).toContain("'pattern' key");
    expect((await create('webhook', { url: 'https://10.0.0.1/' })).body.detail).toContain('private network');
    expect((await create('webhook', {})).body.detail).toBe('Webhook validators require an HTTPS URL');
    expect((await create('vibes', {})).status).toBe(422);
    const replies = await Promise.all(Array.from({ length: 22 }, () => create('regex', { pattern: 'a' })));
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(20);
    expect(must(await node.call('GET', '/v1/validators')).validators).toHaveLength(20);
  });

  test('are one’s own: others’ are not there', async () => {
    const both = await pair(world);
    const id = await keep({ buyer: both.seller }, 'regex', { pattern: 'a' });
    const skillId = await publish(both.seller);
    const body = { skill_id: skillId, input_data: {}, validator_ids: [id] };
    expect((await both.buyer.call('POST', '/v1/tasks/create', body)).body.detail).toBe('Validator not found');
  });
});

describe('what sales earn', () => {
  test('the first sale of a node that had signed up early is its Genesis badge and 300 TCK', async () => {
    const early = must(await world.call('POST', '/v1/early-access', { body: { email: 'early@example.com' } }));
    const seller = await registerNode(world, undefined, { signupToken: early.signup_token });
    const both = { buyer: await registerNode(world), seller };
    await delivered(world, {}, {}, both);
    await delivered(world, {}, {}, both);
    world.clock.advance(WINDOW);
    await sweep(world);
    expect(await balanceOf(world, seller)).toBe(100 - 1 + 2 * 4.85 + 300);
    const [badge] = must(await world.call('GET', '/v1/genesis'));
    expect(badge).toMatchObject({ rank: 1, node_id: seller.id });
    await expectSound(world);
  });

  test('ten settled jobs of a verification skill are 500 TCK, once the vault has them', async () => {
    const both = await pair(world);
    const skillId = await publish(both.seller, { price: 1, metadata: { category: 'verification' } });
    const job = async () => {
      const order = { skill_id: skillId, input_data: {} };
      const { task_id: id } = must(await both.buyer.call('POST', '/v1/tasks/create', order));
      must(await complete(both.seller, id));
    };
    for (let n = 0; n < 10; n++) await job();
    world.clock.advance(WINDOW);
    await sweep(world);
    expect(await has(world, VAULT)).toBeLessThan(500);
    expect(await balanceOf(world, both.seller)).toBeCloseTo(100 - 0.5 + 9.7, 4);
    // What the vault lacks comes to it by the tax of one great sale.
    const rich = await pair(world);
    await give(world, rich.buyer, 20_000);
    const { escrow_id: id } = must(
      await rich.buyer.call('POST', '/v1/trade/escrow/init', { seller_id: rich.seller.id, amount: 20_000 }),
    );
    must(await rich.seller.call('POST', `/v1/trade/escrow/${id}/deliver`, { proof_hash: 'a' }));
    world.clock.advance(WINDOW);
    await sweep(world);
    await job();
    world.clock.advance(WINDOW);
    await sweep(world);
    expect(await balanceOf(world, both.seller)).toBeCloseTo(100 - 0.5 + 11 * 0.97 + 500, 4);
    await expectSound(world);
  });

  test('are in the seller’s statistics', async () => {
    const { seller } = await ordered(world, { price: 5, label: 'Mine' });
    const other = await delivered(world, { price: 10 }, {}, { buyer: await registerNode(world), seller });
    world.clock.advance(WINDOW);
    await sweep(world);
    const stats = must(await seller.call('GET', '/v1/seller/stats'));
    expect(stats).toMatchObject({
      node_id: seller.id,
      total_tck_earned: '9.70',
      dispute_rate: 0,
      cri: { settled_transactions: 1, unique_counterparties: 1 },
      evolution: { level_id: 0 },
    });
    expect(stats.skills_published.map((each: { times_hired: number }) => each.times_hired)).toEqual([1, 1]);
    expect(other.seller.id).toBe(seller.id);
  });
});

describe('sandbox nodes', () => {
  const sandboxed = async () => {
    const node = await registerNode(world);
    await world.db.query(`update grid_nodes set sandbox = true where id = $1`, [node.id]);
    return node;
  };

  test('trade with each other only, either way', async () => {
    const [play, real] = [await sandboxed(), await registerNode(world)];
    const skills = { play: await publish(play), real: await publish(real) };
    const create = (node: typeof play, id: string) =>
      node.call('POST', '/v1/tasks/create', { skill_id: id, input_data: {} });
    const init = (node: typeof play, id: string) =>
      node.call('POST', '/v1/trade/escrow/init', { seller_id: id, amount: 1 });
    const refused = [
      await create(play, skills.real),
      await create(real, skills.play),
      await init(play, real.id),
      await init(real, play.id),
    ];
    expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
    expect((await create(await sandboxed(), skills.play)).status).toBe(200);
  });

  test('have a window of a minute', async () => {
    const task = await delivered(world, {}, {}, { buyer: await sandboxed(), seller: await sandboxed() });
    world.clock.advance(61_000);
    await sweep(world);
    expect((await receiptOf(task)).escrow.status).toBe('SETTLED');
  });
});
