import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createVerify } from 'node:crypto';
import { criOf } from '../../src/domains/grid/reputation/cri.ts';
import { levelOf, LEVELS, progressOf } from '../../src/domains/grid/reputation/levels.ts';
import { LEADERS } from '../../src/domains/grid/reputation/store.ts';
import type { Standing } from '../../src/domains/grid/escrow/standing-store.ts';
import { tck } from '../../src/kernel/money.ts';
import { after, DAY, HOUR, MINUTE } from '../../src/kernel/time.ts';
import { ADMIN_KEY, startApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { publish, registerNode, type TestNode } from './node.ts';

const NOW = new Date('2026-03-18T12:00:00Z');
const NOTHING: Standing = {
  sold: 0,
  bought: 0,
  buyers: 0,
  sellers: 0,
  volume: tck(0n),
  disputed: 0,
  sellerTasks: 0,
  largestShare: 0,
  firstSoldAt: undefined,
  lastSettledAt: undefined,
};
const NODE = { active: true, sandbox: false, strikes: 0, genesis: undefined, createdAt: NOW };
const scoreOf = (standing: Partial<Standing>, node: Partial<Parameters<typeof criOf>[0]> = {}): number =>
  criOf({ ...NODE, ...node }, { ...NOTHING, ...standing }, NOW).score;

describe('the reputation index', () => {
  test('of a new node is 30', () => expect(scoreOf({})).toBe(30));

  test('is the sum of its parts', () => {
    const standing = {
      sold: 6,
      bought: 1,
      buyers: 3,
      sellers: 1,
      volume: tck(990_000n),
      largestShare: 3,
      sellerTasks: 6,
    };
    const days = { createdAt: after(NOW, -7 * DAY) };
    // 30 + 3.33·log2 8 + 15·4/7 + 2.5·log10 100 + 1.25·log2 8 + 5
    expect(scoreOf({ ...standing, lastSettledAt: NOW }, days)).toBe(62.3);
  });

  test.each([
    ['no more than 20 for trades', { sold: 1_000_000, buyers: 1_000_000 }, 65],
    ['disputes by their share of deliveries', { sellerTasks: 4, disputed: 1 }, 23.8],
    ['nothing for concentration below five trades', { sold: 4, buyers: 1, largestShare: 4 }, 41.5],
    ['for concentration above a half', { sold: 6, buyers: 1, largestShare: 6 }, 31.8],
  ])('counts %s', (_what, standing, score) => expect(scoreOf(standing)).toBe(score));

  test('loses 15 for each strike, is never below 0, and is 0 for a banned node', () => {
    expect([1, 2, 3].map((strikes) => scoreOf({}, { strikes }))).toEqual([15, 0, 0]);
    expect(scoreOf({ bought: 1 }, { active: false })).toBe(0);
  });

  test('decays after 90 days without a trade, to the half at the most', () => {
    const idle = (days: number) => criOf(NODE, { ...NOTHING, lastSettledAt: after(NOW, -days * DAY) }, NOW).decay;
    expect([idle(0), idle(90), idle(163), idle(10_000)]).toEqual([1, 1, 0.8, 0.5]);
  });

  test('of a founder is 30 at least for 180 days from its first sale, but not after three strikes', () => {
    const genesis = { rank: 1, at: NOW };
    const sold = (days: number) => ({ firstSoldAt: after(NOW, -days * DAY) });
    expect(scoreOf(sold(180), { genesis, strikes: 2 })).toBe(30);
    expect(scoreOf(sold(181), { genesis, strikes: 2 })).toBe(10);
    expect(scoreOf({}, { genesis, strikes: 2 })).toBe(10);
    expect(scoreOf(sold(10), { genesis, strikes: 3 })).toBe(0);
  });
});

describe('the level of a node', () => {
  test('needs both what it has spent and what it is thought of', () => {
    const spent = (whole: bigint) => tck(whole * 10_000n);
    expect(levelOf(spent(99n), 100).name).toBe('Spawn');
    expect(levelOf(spent(100n), 0).name).toBe('Worker');
    expect(levelOf(spent(50_000n), 49).name).toBe('Worker');
    expect(levelOf(spent(50_000n), 94.9).name).toBe('Master');
    expect(levelOf(spent(50_000n), 95).name).toBe('Architect');
    expect(progressOf(LEVELS[4]!, spent(50_000n), 95)).toBeUndefined(); // oxlint-disable-line typescript/no-non-null-assertion -- there are five
    expect(progressOf(LEVELS[1]!, spent(250n), 30)).toMatchObject({ missing: spent(750n), share: 0.25, criMet: false }); // oxlint-disable-line typescript/no-non-null-assertion -- there are five
  });
});

describe('over HTTP', () => {
  let world: Awaited<ReturnType<typeof startApis>>;
  let node: TestNode;
  beforeAll(async () => {
    world = await startApis();
    node = await registerNode(world);
  });
  afterAll(() => world.close());

  test('the index is told with all its parts', async () => {
    const { status, body } = await world.call('GET', `/v1/nodes/${node.id}/cri`);
    expect([status, body.cri_score, body.factors.base.value, body.penalties.strike_penalty.strikes]).toEqual([
      200, 30, 30, 0,
    ]);
    expect(body.computed_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  });

  test('a certificate is checked by us and with the published key, for an hour', async () => {
    const { body } = await world.call('GET', `/v1/nodes/${node.id}/cri/certificate`);
    const { body: pem } = await world.call('GET', '/.well-known/botnode-cri-pubkey.pem');
    const [header, payload, signature] = body.certificate.split('.');
    expect(createVerify('sha256').update(`${header}.${payload}`).verify(pem, signature, 'base64url')).toBe(true);
    const check = (token: string) => world.call('POST', '/v1/cri/verify', { body: { token } });
    expect((await check(body.certificate)).body).toMatchObject({ valid: true, node_id: node.id, cri_score: 30 });
    for (const token of [`${body.certificate}x`, `${header}.${payload}.`, 'nonsense', node.token])
      expect((await check(token)).body).toMatchObject({ valid: false });
    world.clock.advance(HOUR + MINUTE);
    expect((await check(body.certificate)).body).toMatchObject({ valid: false });
  });

  test('a certificate opens nothing', async () => {
    const { body } = await world.call('GET', `/v1/nodes/${node.id}/cri/certificate`);
    expect((await world.call('GET', '/v1/node/me', { key: body.certificate })).status).toBe(401);
  });

  test('leaders are read in their order, and no more of them than are shown', async () => {
    const plan = await world.db.transact(async (tx) => {
      for (const way of ['seqscan', 'bitmapscan', 'sort']) await tx.query(`set local enable_${way} = off`);
      return await tx.query<{ 'QUERY PLAN': string }>(`explain ${LEADERS.replace('$1', '20').replace('$2', '0')}`);
    });
    const text = plan.map((line) => line['QUERY PLAN']).join('\n');
    expect(text).toContain('Index Scan using grid_nodes_by_rank');
    expect(text).not.toContain('Sort');
  });

  test('leaders are ordered by level and by what they have spent', async () => {
    const [first, second] = [await registerNode(world), await registerNode(world)];
    await publish(second);
    await publish(first);
    await publish(first);
    const { body } = await world.call('GET', '/v1/leaderboard?limit=2');
    expect(
      body.leaderboard.map(({ node_id, tck_spent }: { node_id: string; tck_spent: number }) => [node_id, tck_spent]),
    ).toEqual([
      [first.id, 1],
      [second.id, 0.5],
    ]);
    expect([body.total >= 3, body.limit, body.offset]).toEqual([true, 2, 0]);
    const level = await world.call('GET', `/v1/nodes/${first.id}/level`);
    expect(level.body).toMatchObject({
      level_name: 'Spawn',
      tck_spent: 1,
      progress: { next_level: 'Worker', tck_needed: 99 },
    });
  });
});

const byName = (one: string, other: string): number => one.localeCompare(other);

describe('malfeasance', () => {
  let world: Awaited<ReturnType<typeof startApis>>;
  beforeAll(async () => {
    world = await startApis({ reportPolicy: 'direct' });
  });
  afterAll(() => world.close());
  const report = (by: TestNode, on: string) => by.call('POST', `/v1/report/malfeasance?node_id=${on}`);

  test('counts at once under the direct policy: three strikes end a node, and the vault has its TCK', async () => {
    const [reporter, accused] = [await registerNode(world), await registerNode(world)];
    expect((await report(reporter, accused.id)).body).toEqual({ status: 'STRIKE_LOGGED', current_strikes: 1 });
    expect((await world.call('GET', `/v1/nodes/${accused.id}`)).body).toMatchObject({ reputation: 27, strikes: 1 });
    await report(reporter, accused.id);
    expect((await report(reporter, accused.id)).body).toEqual({
      event: 'PERMANENT_NODE_PURGE',
      node_id: accused.id,
      confiscated_balance: '100.00',
      status: 'BANNED',
    });
    expect((await accused.call('GET', '/v1/node/me')).status).toBe(401);
    expect((await world.call('GET', '/v1/node/me', { key: accused.token })).body.detail).toBe(
      'Node not found or banned',
    );
    const { body } = await world.call('GET', '/v1/admin/ledger/reconcile', { key: ADMIN_KEY });
    expect(body).toMatchObject({ valid: true, total_in_vault: '100.0000', conservation: { flag: null } });
  });

  test('is one strike where the same report is sent twice', async () => {
    const [reporter, accused] = [await registerNode(world), await registerNode(world)];
    const path = `/v1/report/malfeasance?node_id=${accused.id}`;
    const send = () => reporter.call('POST', path, undefined, { 'idempotency-key': 'once' });
    expect([(await send()).body, (await send()).body.current_strikes]).toEqual([
      { status: 'STRIKE_LOGGED', current_strikes: 1 },
      1,
    ]);
  });

  test('of oneself and of nobody is refused', async () => {
    const node = await registerNode(world);
    expect(await report(node, node.id)).toMatchObject({ status: 400, body: { detail: 'Cannot report yourself' } });
    expect((await report(node, 'nobody-is-this')).status).toBe(404);
  });

  test('six reports at once make exactly three strikes, and one of them ends the node', async () => {
    const [reporter, accused] = [await registerNode(world), await registerNode(world)];
    const replies = await Promise.all(Array.from({ length: 6 }, () => report(reporter, accused.id)));
    const outcomes = replies.map(({ body }) => String(body.status ?? body.detail)).toSorted(byName);
    expect(outcomes).toEqual(
      [
        'BANNED',
        ...Array.from({ length: 2 }, () => 'STRIKE_LOGGED'),
        ...Array.from({ length: 3 }, () => 'The node is banned already'),
      ].toSorted(byName),
    );
  });

  test('a node that spends while it is banned has paid or has lost it, and the money agrees', async () => {
    const [reporter, accused] = [await registerNode(world), await registerNode(world)];
    await report(reporter, accused.id);
    await report(reporter, accused.id);
    await Promise.all([
      publish(accused).catch(() => undefined),
      report(reporter, accused.id),
      publish(accused).catch(() => undefined),
    ]);
    const { body } = await world.call('GET', '/v1/admin/ledger/reconcile', { key: ADMIN_KEY });
    expect(body.valid).toBe(true);
    const { available } = await world.ledger.balance(world.db, `wallet:${await accountOf(accused)}:TCK` as never);
    expect(available).toBe(0n);
  });

  const accountOf = async ({ id }: TestNode) => (await world.grid.nodes.get(id)).accountId;
});

describe('malfeasance under the distinct policy', () => {
  let world: Awaited<ReturnType<typeof startApis>>;
  beforeAll(async () => {
    world = await startApis();
  });
  afterAll(() => world.close());

  test('is noted and is no strike from who has never traded', async () => {
    const [reporter, accused] = [await registerNode(world), await registerNode(world)];
    const reply = await reporter.call('POST', `/v1/report/malfeasance?node_id=${accused.id}`);
    expect(reply.body).toEqual({ status: 'REPORT_LOGGED', current_strikes: 0 });
  });

  test('is one strike of each reporter that has traded', async () => {
    const [seller, accused] = [await registerNode(world), await registerNode(world)];
    const buyers = [await registerNode(world), await registerNode(world)];
    for (const buyer of buyers) await trade(buyer, seller);
    const report = async (by: TestNode) =>
      (await by.call('POST', `/v1/report/malfeasance?node_id=${accused.id}`)).body.current_strikes;
    expect([await report(buyers[0]!), await report(buyers[0]!), await report(buyers[1]!)]).toEqual([1, 1, 2]); // oxlint-disable-line typescript/no-non-null-assertion -- there are two
    // What the index depends on has happened, so that the sweep computes it again.
    for (const sweep of world.grid.sweeps.filter(({ name }) => name === 'grid.refresh-reputation'))
      await sweep.runDue(systemOp(world.clock.now()));
    const { body } = await world.call('GET', `/v1/nodes/${seller.id}`);
    expect(body.reputation).toBeGreaterThan(30);
  });

  /** A whole trade: locked, delivered, and settled when its window is over. */
  async function trade(buyer: TestNode, seller: TestNode): Promise<void> {
    const made = await buyer.call('POST', '/v1/trade/escrow/init', { seller_id: seller.id, amount: 10 });
    const id = made.body.escrow_id;
    await seller.call('POST', `/v1/trade/escrow/${id}/deliver`, { proof_hash: 'proof' });
    world.clock.advance(25 * HOUR);
    const settled = await seller.call('POST', '/v1/trade/escrow/settle', { escrow_id: id, proof_hash: 'proof' });
    expect(settled.body).toMatchObject({ status: 'SETTLED' });
  }
});
