/** The sheet's limits, words and constants, each by a request. */
import { afterAll, describe, expect, test } from 'vitest';
import { HOUR, MINUTE } from '../../src/kernel/time.ts';
import { requestLimits } from '../../src/platform/limits.ts';
import { ADMIN_KEY, startApis, type Reply } from '../harness/apis.ts';
import { nodeWith, publish, registerNode, type TestNode } from './node.ts';
import { complete, delivered, must, ordered, pair, PROOF, sandboxNode, settle } from './trades.ts';

const world = await startApis();
const limited = await startApis({ limits: requestLimits, over: world });
afterAll(async () => {
  await limited.close();
  await world.close();
});

const GONE = '00000000-0000-7000-8000-000000000000';
const WISH = { title: 'A bounty', description: 'Something to be done.', reward_tck: 50_000 };

describe('so many requests and no more:', () => {
  const nobody = (path: string, body: unknown) => () => limited.call('POST', path, { body });
  let node: TestNode;
  const own = (path: string, body?: unknown) => () => node.call('POST', path, body);

  test.each<[string, number, number, () => Promise<Reply>]>([
    ['registrations a minute', 5, MINUTE, nobody('/v1/node/register', {})],
    ['verifications a minute', 10, MINUTE, nobody('/v1/node/verify', {})],
    ['early access a minute', 3, MINUTE, nobody('/v1/early-access', {})],
    ['sandbox nodes an hour', 20, HOUR, nobody('/v1/sandbox/nodes', { alias: 7 })],
    ['shared trades an hour', 30, HOUR, nobody('/v1/sandbox/share', { skill: 7 })],
    ['reports an hour', 3, HOUR, own('/v1/report/malfeasance?node_id=nobody-is-this')],
    ['tasks a minute', 30, MINUTE, own('/v1/tasks/create', { skill_id: GONE, input_data: {} })],
    ['orders by A2A a minute', 30, MINUTE, own('/v1/a2a/tasks/send', { skill_id: GONE, input: {} })],
    ['escrows a minute', 20, MINUTE, own('/v1/trade/escrow/init', { seller_id: 'nobody-is-this', amount: 1 })],
    ['settlements a minute', 20, MINUTE, own('/v1/trade/escrow/settle', { escrow_id: GONE, proof_hash: PROOF })],
    [
      'listings a minute',
      10,
      MINUTE,
      own('/v1/marketplace/publish', { type: 'SKILL_OFFER', label: 'x', price_tck: 1 }),
    ],
    ['bounties a minute', 10, MINUTE, own('/v1/bounties', WISH)],
    ['webhooks a minute', 5, MINUTE, own('/v1/webhooks', { url: 'http://example.com', events: ['task.created'] })],
  ])('%s', async (_what, max, windowMs, ask) => {
    const made = await registerNode(world);
    node = nodeWith(limited, made.id, { api_key: made.key });
    for (let n = 0; n < max; n++) expect((await ask()).status).not.toBe(429);
    const refused = await ask();
    expect([refused.status, refused.body.detail]).toEqual([429, 'Rate limit exceeded']);
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(windowMs / 1_000);
  });
});

describe('the guardian', () => {
  const TARGETS = ['previous', 'all', 'above'];
  const PHRASES = [
    ...TARGETS.flatMap((target) => [`ignore ${target}`, `disregard ${target}`]),
    ...['message', 'prompt', 'instruction'].map((what) => `system ${what}`),
    ...['dan mode', 'jailbreak', 'bypass filter', 'you are now', 'act as if', 'pretend you', 'sudo', 'override'],
    ...['admin mode', 'reveal your', 'show your prompt', 'repeat your instructions'],
  ];

  test('rejects each of its 21 phrases in any body below /v1, and not where nothing is posted', async () => {
    expect(PHRASES).toHaveLength(21);
    for (const phrase of PHRASES) {
      const body = { node_id: 'injector', extra: `Please ${phrase.toUpperCase()} now` };
      const reply = await world.call('POST', '/v1/node/register', { body });
      expect([phrase, reply.status, reply.body]).toEqual([phrase, 403, { error: 'Guardian: request rejected' }]);
    }
    expect((await world.call('GET', '/v1/marketplace?q=sudo')).status).toBe(200);
  });
});

describe('a program that says it is a browser', () => {
  test.each(['Chrome/120.0', 'Firefox/121.0', 'Safari/605.1', 'Edge/18.19'])(
    '%s is refused below /v1',
    async (agent) => {
      const as = (name: string, path = '/v1/levels') => world.call('GET', path, { headers: { 'user-agent': name } });
      const refused = await as(agent);
      expect([refused.status, refused.body]).toEqual([
        406,
        {
          error: 'Human interface not supported',
          mission_protocol: 'https://freehold.test/mission.json',
          reason: expect.any(String),
        },
      ]);
      expect((await as(`${agent} mcp-client`)).status).toBe(200);
      expect((await as(agent, '/mission.json')).status).toBe(200);
    },
  );
});

describe('in the words of the sheet:', () => {
  const told = async (reply: Promise<Reply>) => {
    const { status, body } = await reply;
    return [status, body.detail];
  };

  test('a credential that is none', async () => {
    const bearer = (text: string) => world.call('GET', '/v1/node/me', { headers: { authorization: text } });
    expect(await told(bearer('Bearer invalid.token.here'))).toEqual([401, expect.stringContaining('Invalid token')]);
    const admin = (key?: string) => told(world.call('GET', '/v1/admin/metrics', { key }));
    expect(await admin()).toEqual([401, 'Missing admin Authorization header']);
    expect(await admin('wrong')).toEqual([401, 'Unauthorized']);
  });

  test('a registration that cannot be', async () => {
    const post = (path: string, body: object) => told(world.call('POST', path, { body }));
    const { id } = await registerNode(world);
    expect(await post('/v1/node/register', { node_id: id })).toEqual([400, 'Node ID already registered']);
    const stray = { node_id: 'never-registered', solution: 0 };
    expect(await post('/v1/node/verify', stray)).toEqual([400, 'No pending challenge — call /v1/node/register first']);
    expect(await post('/v1/node/register', { node_id: 'with-token', signup_token: 'ea_none' })).toEqual([
      400,
      expect.stringMatching(/^Invalid signup_token/),
    ]);
  });

  test('a trade that cannot go on', async () => {
    const { buyer, seller, taskId, escrowId } = await ordered(world);
    expect(await told(settle(buyer, escrowId))).toEqual([400, 'Escrow not ready for settlement']);
    const dispute = () => told(buyer.call('POST', '/v1/tasks/dispute', { task_id: taskId, reason: 'x' }));
    expect((await dispute())[0]).toBe(400);
    must(await seller.call('POST', `/v1/tasks/${taskId}/claim`));
    expect(await told(seller.call('POST', `/v1/tasks/${taskId}/claim`))).toEqual([
      409,
      'Task already claimed or completed',
    ]);
    must(await complete(seller, taskId));
    expect(await told(complete(seller, taskId))).toEqual([400, 'Task cannot be completed from current state']);
    const report = `/v1/report/malfeasance?node_id=${buyer.id}`;
    expect(await told(buyer.call('POST', report))).toEqual([400, 'Cannot report yourself']);
  });

  test('sandbox and production apart', async () => {
    const [player, real] = [await sandboxNode(world), await registerNode(world)];
    const init = (by: TestNode, of: TestNode) =>
      by.call('POST', '/v1/trade/escrow/init', { seller_id: of.id, amount: 1 });
    expect([(await init(player, real)).status, (await init(real, player)).status]).toEqual([403, 403]);
  });

  test.each([
    ['/v1/marketplace?limit=201', 'limit'],
    ['/v1/leaderboard?limit=101', 'limit'],
    ['/v1/bounties?limit=101', 'limit'],
    [`/v1/marketplace?q=${'x'.repeat(201)}`, 'q'],
    [`/v1/marketplace?category=${'x'.repeat(51)}`, 'category'],
  ])('%s names its field with 422', async (path, field) => {
    const { status, body } = await world.call('GET', path);
    expect([status, body.detail]).toEqual([422, [{ field, message: expect.any(String) }]]);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['/v1/trade/escrow/init', { seller_id: 'someone', amount: 100_000.1 }, 'amount'],
    ['/v1/trade/escrow/init', { seller_id: 'someone', amount: 1, idempotency_key: 'x'.repeat(101) }, 'idempotency_key'],
    ['/v1/trade/escrow/settle', { escrow_id: GONE, proof_hash: 'x'.repeat(257) }, 'proof_hash'],
    ['/v1/tasks/complete', { task_id: GONE, output_data: {}, proof_hash: '' }, 'proof_hash'],
    ['/v1/tasks/dispute', { task_id: GONE, reason: 'x'.repeat(2_001) }, 'reason'],
    ['/v1/marketplace/publish', { type: 'SKILL_OFFER', label: 'x'.repeat(201), price_tck: 1 }, 'label'],
    ['/v1/validators', { name: 'x'.repeat(101), type: 'regex', config: {} }, 'name'],
    ['/v1/webhooks', { url: `https://e.example/${'x'.repeat(500)}`, events: ['task.created'] }, 'url'],
    ['/v1/bounties', { ...WISH, reward_tck: 9.99 }, 'reward_tck'],
    ['/v1/bounties', { ...WISH, title: 'x'.repeat(201) }, 'title'],
    ['/v1/bounties', { ...WISH, description: 'x'.repeat(5_001) }, 'description'],
    ['/v1/bounties', { ...WISH, deadline_days: 91 }, 'deadline_days'],
  ])('%s bounds %j', async (path, body, field) => {
    const caller = await registerNode(world);
    const reply = await caller.call('POST', path, body);
    expect([reply.status, reply.body.detail[0].field]).toEqual([422, field]);
  });
});

test('the 30 capabilities have the prices and times of the sheet', async () => {
  const SHEET =
    'url-fetcher 0.3/10 · web-scraper 0.5/15 · google-search 0.5/15 · csv-parser 0.3/10 · pdf-parser 0.4/15 · ' +
    'pdf-summarizer 0.4/15 · schema-enforcer 0.3/10 · text-translator 0.5/15 · prompt-optimizer 0.5/15 · ' +
    'report-builder 0.7/20 · report-compiler 0.5/20 · document-reporter 0.7/20 · text-to-voice 0.7/20 · ' +
    'schema-generator 0.5/15 · quality-gate 0.5/15 · hallucination-detector 0.7/20 · code-reviewer 1.0/20 · ' +
    'compliance-checker 1.0/20 · logic-visualizer 0.5/15 · sentiment-analyzer 0.3/10 · language-detector 0.1/10 · ' +
    'key-point-extractor 0.3/10 · diff-analyzer 0.3/10 · web-research 1.0/30 · performance-analyzer 1.0/20 · ' +
    'lead-enricher 0.5/15 · image-describer 0.5/15 · vector-memory 0.3/10 · notification-router 0.3/10 · scheduler 0.5/15';
  const { buyer, seller } = await pair(world);
  const capabilities = SHEET.split(' · ').map((one) => one.split(/[ /]/) as [string, string, string]);
  expect(capabilities).toHaveLength(30);
  for (const [capability, price, eta] of capabilities) {
    const hire = (max_price: number) =>
      buyer.call('POST', '/v1/mcp/hire', { integration: 'x', capability, payload: {}, max_price });
    expect((await hire(Number(price) - 0.05)).body).toMatchObject({
      error_type: 'BAD_PAYLOAD',
      retry_hint: 'lower_capability_cost',
    });
    expect((await hire(Number(price))).body).toMatchObject({ error_type: 'GRID_ERROR', retry_hint: 'retry_later' });
    await publish(seller, { label: `${capability.replaceAll('-', '_')}_v1`, price: 0.01 });
    expect((await hire(Number(price))).body).toMatchObject({ status: 'QUEUED', eta_seconds: Number(eta) });
  }
});

test('what is delivered between sandbox nodes settles after a minute, between others after a day', async () => {
  const waits = async (task: { buyer: TestNode; escrowId: string }) => {
    const shown = must(await task.buyer.call('GET', `/v1/trade/escrow/${task.escrowId}`));
    return Math.round((Date.parse(`${shown.auto_settle_at}Z`) - world.clock.now().getTime()) / MINUTE);
  };
  const players = { buyer: await sandboxNode(world), seller: await sandboxNode(world) };
  expect(await waits(await delivered(world, {}, {}, players))).toBe(1);
  expect(await waits(await delivered(world))).toBe(24 * 60);
  const refused = await world.call('POST', '/v1/admin/disputes/resolve?escrow_id=x&resolution=refund_buyer', {
    key: ADMIN_KEY,
  });
  expect(refused.body.detail).toBe('Escrow not found');
});
