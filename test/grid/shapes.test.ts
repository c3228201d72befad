/** What every operation of the grid answers, field by field, as its document and its sheet have it. */
import { afterAll, expect, test } from 'vitest';
import { ADMIN_KEY, startApis, SYNC_TOKEN } from '../harness/apis.ts';
import { give } from './money.ts';
import { publish, registerNode, solutionOf, type TestNode } from './node.ts';
import { HOUR_MS, must, PROOF, sandboxNode } from './trades.ts';

const world = await startApis();
const [buyer, seller] = [await registerNode(world), await registerNode(world)];
afterAll(() => world.close());

const NAIVE = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/);
const ZONED = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
const SHORT = expect.stringMatching(/^\d+\.\d{2,4}$/);
const LONG = expect.stringMatching(/^\d+\.\d{4}$/);
const ID = expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const TEXT = expect.any(String);
const NUMBER = expect.any(Number);
const PART = expect.objectContaining({ value: NUMBER, max: NUMBER, description: TEXT });
const PAGE = { total: NUMBER, limit: NUMBER, offset: NUMBER };

const as = (who: TestNode, method: string, path: string, body?: unknown) => who.call(method, path, body);
const look = async (path: string) => must(await world.call('GET', path));
const admin = async (method: string, path: string) => must(await world.call(method, path, { key: ADMIN_KEY }));
const order = async (skill: string) =>
  must(await as(buyer, 'POST', '/v1/tasks/create', { skill_id: skill, input_data: { text: 'Hola' } }));
const deliver = async (task: string) =>
  must(
    await as(seller, 'POST', '/v1/tasks/complete', {
      task_id: task,
      output_data: { text: 'Hello' },
      proof_hash: PROOF,
    }),
  );

test('a registration and what follows it', async () => {
  const begun = must(await world.call('POST', '/v1/node/register', { body: { node_id: 'shape-01' } }));
  expect(begun).toEqual({
    status: 'NODE_PENDING_VERIFICATION',
    node_id: 'shape-01',
    wallet: { initial_balance: '100.00', state: 'FROZEN_UNTIL_CHALLENGE_SOLVED' },
    verification_challenge: {
      type: 'PRIME_SUM_HASH',
      payload: expect.arrayContaining([NUMBER]),
      instruction: "Sum all prime numbers in 'payload', multiply by 0.5, and POST to /v1/node/verify",
      timeout_ms: 30_000,
      ts: NUMBER,
    },
  });
  const solution = solutionOf(begun.verification_challenge.payload);
  const verified = must(await world.call('POST', '/v1/node/verify', { body: { node_id: 'shape-01', solution } }));
  expect(verified).toEqual({
    status: 'NODE_ACTIVE',
    message: 'Welcome to the cluster, shape-01.',
    api_key: expect.stringMatching(/^bn_shape-01_[0-9a-f]{32}$/),
    session_token: expect.stringMatching(/^ey[\w-]+\.[\w-]+\.[\w-]+$/),
    unlocked_balance: '100.00',
  });
  const [, claims = ''] = verified.session_token.split('.');
  expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
    sub: 'shape-01',
    role: 'node',
    iss: 'botnode-orchestrator',
    aud: 'botnode-grid',
  });
  expect(must(await world.call('POST', '/v1/early-access', { body: { email: 'a@example.com' } }))).toEqual({
    signup_token: expect.stringMatching(/^ea_.+/),
    status: 'pre_eligible',
  });
});

test('a node, its level and its index', async () => {
  const { id } = seller;
  expect(await look(`/v1/nodes/${id}/level`)).toEqual({
    node_id: id,
    level_id: 0,
    level_name: 'Spawn',
    emoji: '🥚',
    tck_spent: NUMBER,
    cri: NUMBER,
    progress: {
      next_level: 'Worker',
      tck_needed: NUMBER,
      cri_needed: 0,
      tck_progress: NUMBER,
      cri_met: true,
    },
    capabilities: {
      can_post_bounty: false,
      can_submit_bounty: false,
      can_create_escrow: true,
      can_publish_skill: true,
    },
  });
  const cri = await look(`/v1/nodes/${id}/cri`);
  expect(cri).toMatchObject({ node_id: id, cri_score: NUMBER, computed_at: ZONED, formula: TEXT });
  const factors = 'base transaction_score diversity_score volume_score age_score buyer_activity genesis_bonus';
  expect(cri.factors).toEqual(Object.fromEntries(factors.split(' ').map((name) => [name, PART])));
  const penalties = 'dispute_penalty concentration_penalty strike_penalty';
  expect(cri.penalties).toEqual(Object.fromEntries(penalties.split(' ').map((name) => [name, PART])));
  expect(await look(`/v1/nodes/${id}/cri/certificate`)).toEqual({
    certificate: TEXT,
    node_id: id,
    cri_score: NUMBER,
    valid_until: NUMBER,
    verify_url: 'https://freehold.test/v1/cri/verify',
    public_key_url: TEXT,
  });
  expect(await look('/v1/leaderboard')).toEqual({
    leaderboard: expect.any(Array),
    total: NUMBER,
    limit: 20,
    offset: 0,
  });
  const levels = (await look('/v1/levels')).levels.map((one: Record<string, unknown>) => [
    one['name'],
    one['tck_spent_required'],
    one['cri_min_required'],
  ]);
  expect(levels).toEqual([
    ['Spawn', 0, 0],
    ['Worker', 100, 0],
    ['Artisan', 1_000, 50],
    ['Master', 10_000, 80],
    ['Architect', 50_000, 95],
  ]);
  expect(await look('/v1/genesis')).toEqual([]);
});

test('a trade from its order to its receipt', async () => {
  await give(world, buyer, 1_000);
  const metadata = { category: 'shape', validators: [], recommended_verifiers: ['v'] };
  const skill = await publish(seller, { price: 5, label: 'Shape', metadata });
  expect(await look('/v1/marketplace?category=shape')).toEqual({
    timestamp: NUMBER,
    market_status: 'HIGH_LIQUIDITY',
    ...PAGE,
    price_stats: { min: '5.00', max: '5.00', average: '5.00', median: '5.00' },
    listings: [
      {
        id: skill,
        provider_id: seller.id,
        label: 'Shape',
        price_tck: '5.00',
        metadata,
        validators: [],
        recommended_verifiers: ['v'],
      },
    ],
  });
  const ordered = await order(skill);
  expect(ordered).toEqual({ task_id: ID, escrow_id: ID, status: 'QUEUED' });
  expect(must(await as(seller, 'GET', '/v1/tasks/mine'))).toEqual({
    node_id: seller.id,
    role: 'seller',
    status_filter: 'OPEN',
    tasks: [
      {
        task_id: ordered.task_id,
        skill_id: skill,
        skill_label: 'Shape',
        buyer_id: buyer.id,
        seller_id: seller.id,
        input_data: { text: 'Hola' },
        output_data: null,
        escrow_id: ordered.escrow_id,
        status: 'OPEN',
        shadow: false,
        created_at: NAIVE,
      },
    ],
    count: 1,
  });
  expect(must(await as(seller, 'POST', `/v1/tasks/${ordered.task_id}/claim`))).toEqual({
    status: 'IN_PROGRESS',
    task_id: ordered.task_id,
  });
  expect(await deliver(ordered.task_id)).toEqual({
    status: 'COMPLETED',
    settlement_status: 'PENDING_DISPUTE_WINDOW',
    eta_tck_release: NAIVE,
  });
  world.clock.advance(24 * HOUR_MS);
  expect(await admin('POST', '/v1/admin/escrows/auto-settle')).toMatchObject({
    status: 'OK',
    settled: 1,
    auto_refunded: 0,
    failed: 0,
    tax_routed_to_vault: '0.1500',
    timestamp: NAIVE,
  });
  const receipt = must(await as(buyer, 'GET', `/v1/tasks/${ordered.task_id}/receipt`));
  expect(receipt).toEqual({
    receipt_id: `rcpt_${ordered.task_id}`,
    generated_at: ZONED,
    task: expect.objectContaining({ task_id: ordered.task_id, status: 'SETTLED' }),
    escrow: expect.objectContaining({ escrow_id: ordered.escrow_id, status: 'SETTLED', amount: '5.00' }),
    ledger_movements: expect.any(Array),
    dispute_engine: [],
    webhooks: [],
    summary: TEXT,
  });
  expect(must(await as(buyer, 'GET', `/v1/tasks/${ordered.task_id}/validations`))).toEqual({
    task_id: ordered.task_id,
    results: [],
  });
  expect(must(await as(seller, 'GET', '/v1/seller/stats')).total_tck_earned).toBe('4.85');
  expect(await admin('POST', '/v1/admin/escrows/auto-refund')).toEqual({ status: 'OK', refunded: NUMBER });
});

test('a shadow task, a hire and an order by A2A', async () => {
  const skill = await publish(seller, { price: 0.3, label: 'csv_parser' });
  const shadow = must(await as(buyer, 'POST', '/v1/shadow/tasks/create', { skill_id: skill, input_data: {} }));
  expect(shadow).toEqual({
    task_id: ID,
    escrow_id: ID,
    status: 'SHADOW_QUEUED',
    shadow: true,
    simulated_cost: SHORT,
    simulated_tax: SHORT,
    simulated_payout: SHORT,
    note: TEXT,
  });
  expect((await deliver(shadow.task_id)).settlement_status).toBe('SHADOW_NO_ESCROW');
  const { simulation } = must(await as(buyer, 'GET', `/v1/shadow/simulate/${shadow.task_id}`));
  expect(simulation).toMatchObject({ outcome: 'SETTLED', financial_impact: expect.anything() });
  const hire = { integration: 'x', capability: 'csv-parser', payload: {}, max_price: null, deadline_seconds: null };
  const hired = must(await as(buyer, 'POST', '/v1/mcp/hire', hire));
  expect(hired).toEqual({ status: 'QUEUED', task_id: ID, escrow_id: ID, estimated_cost: '0.30', eta_seconds: 10 });
  const sent = must(await as(buyer, 'POST', '/v1/a2a/tasks/send', { skill_id: skill, input: {} }));
  expect(sent).toEqual({ task_id: ID, status: 'submitted', escrow_id: ID, price_tck: '0.30', protocol: 'a2a' });
  expect(await look('/v1/network/stats')).toMatchObject({ by_protocol: { a2a: 1, api: 1, mcp: 1 } });
  const { suites } = await look('/v1/benchmarks');
  expect(suites.map(({ id }: { id: string }) => id)).toEqual([
    'sentiment_basic',
    'schema_compliance',
    'deterministic_echo',
  ]);
  expect((await look('/v1/benchmarks/sentiment_basic')).cases).toHaveLength(5);
});

test('a dispute and what the operator sees of it', async () => {
  const ordered = await order(await publish(seller, { price: 5 }));
  await deliver(ordered.task_id);
  const opened = must(await as(buyer, 'POST', '/v1/tasks/dispute', { task_id: ordered.task_id, reason: 'No.' }));
  expect(opened).toEqual({ status: 'DISPUTE_OPEN', message: TEXT });
  const way = `escrow_id=${ordered.escrow_id}&resolution=release_to_seller`;
  expect(await admin('POST', `/v1/admin/disputes/resolve?${way}`)).toMatchObject({
    status: 'SETTLED',
    payout: LONG,
    tax: LONG,
  });
  const { disputes, ...page } = await admin('GET', '/v1/admin/disputes?limit=1');
  expect([disputes.length, page]).toEqual([1, PAGE]);
  const { entries, count } = await admin('GET', '/v1/admin/transactions?limit=1');
  expect(count).toBe(1);
  expect(entries[0]).toEqual({
    id: TEXT,
    timestamp: NAIVE,
    account: TEXT,
    type: expect.stringMatching(/^(DEBIT|CREDIT)$/),
    amount: SHORT,
    balance_after: expect.stringMatching(/^-?\d+\.\d+$/),
    reference_type: TEXT,
    reference_id: expect.toBeOneOf([TEXT, null]),
    counterparty: expect.toBeOneOf([TEXT, null]),
    note: TEXT,
    narrative: TEXT,
  });
  const metrics = 'total_nodes active_skills tasks_processed transaction_volume genesis_vault'.split(' ');
  expect(await admin('GET', '/v1/admin/stats')).toEqual({
    period: '24h',
    metrics: Object.fromEntries(metrics.map((name) => [name, NUMBER])),
    timestamp: NAIVE,
  });
  const kinds = ['tasks', 'settlements', 'gmv', 'nodes', 'skills', 'bounties'];
  expect(Object.keys(await admin('GET', '/v1/admin/metrics'))).toEqual(expect.arrayContaining(kinds));
  expect(await admin('POST', '/v1/admin/bounties/expire')).toEqual({
    status: 'OK',
    expired: NUMBER,
    failed: 0,
    timestamp: NAIVE,
  });
});

test('the books, a webhook, a sandbox node, health and another system’s node', async () => {
  const { conservation, currencies, ...books } = await admin('GET', '/v1/admin/ledger/reconcile');
  const names = 'total_minted total_in_wallets total_in_vault total_in_escrow total_in_bounties sum_accounted';
  expect(books).toEqual({
    valid: true,
    ...Object.fromEntries(names.split(' ').map((name) => [name, LONG])),
    discrepancy: '0.0000',
    checked_at: TEXT,
  });
  expect([conservation.valid, currencies.TCK.valid]).toEqual([true, true]);
  const wish = { url: 'https://1.1.1.1/hook', events: ['task.completed'] };
  const hook = must(await as(buyer, 'POST', '/v1/webhooks', wish));
  expect(hook).toMatchObject({
    id: TEXT,
    ...wish,
    secret: expect.stringMatching(/^whsec_[0-9a-f]{64}$/),
    active: true,
    verification_example: TEXT,
  });
  const [listed] = must(await as(buyer, 'GET', '/v1/webhooks'));
  expect(listed).toMatchObject({ id: hook.id, ...wish, active: true });
  expect(must(await as(buyer, 'GET', `/v1/webhooks/${hook.id}/deliveries`))).toEqual([]);
  const player = await sandboxNode(world);
  expect(must(await player.call('GET', '/v1/mcp/wallet')).balance_tck).toBe('10000.00');
  expect(await look('/health')).toMatchObject({ status: 'ok', database: 'connected', timestamp: TEXT });
  const sync = { key: SYNC_TOKEN, body: { id: 'from-elsewhere' } };
  const synced = await world.call('POST', '/api/v1/admin/sync/node', sync);
  expect(synced.body).toEqual({ status: 'success', node_id: 'from-elsewhere' });
});
