import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bounty as bountyAccount, PLAY_VAULT, VAULT } from '../../src/domains/ledger/index.ts';
import { DAY } from '../../src/kernel/time.ts';
import { ADMIN_KEY, startApis, statusesOf, SYNC_TOKEN, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { balanceOf, expectSound, has } from './money.ts';
import { registerNode, type TestNode } from './node.ts';
import { HOUR_MS, must, PROOF, sandboxNode, settle } from './trades.ts';

const WISH = { title: 'Summarise papers', description: 'A table with one row for each paper.', reward_tck: 20 };
const report = (by: TestNode, on: TestNode) => by.call('POST', `/v1/report/malfeasance?node_id=${on.id}`);
const offer = async (creator: TestNode, wish: object = {}): Promise<string> =>
  must(await creator.call('POST', '/v1/bounties', { ...WISH, ...wish })).bounty_id;
const statusOf = async (world: TestApis, bounty: string): Promise<string> =>
  must(await world.call('GET', `/v1/bounties/${bounty}`)).status;
const expire = (world: TestApis) => world.grid.bounties.expireDue(systemOp(world.clock.now()));

/** Whole trades: locked, delivered, and settled when their windows are over. */
async function trade(world: TestApis, ...pairs: [TestNode, TestNode][]): Promise<void> {
  const opened: { seller: TestNode; id: string }[] = [];
  for (const [buyer, seller] of pairs) {
    const made = must(await buyer.call('POST', '/v1/trade/escrow/init', { seller_id: seller.id, amount: 1 }));
    must(await seller.call('POST', `/v1/trade/escrow/${made.escrow_id}/deliver`, { proof_hash: PROOF }));
    opened.push({ seller, id: made.escrow_id });
  }
  world.clock.advance(25 * HOUR_MS);
  for (const { seller, id } of opened) must(await settle(seller, id));
}

describe('the bounties of a node that is banned', () => {
  let world: TestApis;
  beforeAll(async () => {
    world = await startApis({ reportPolicy: 'direct' });
  });
  afterAll(() => world.close());

  const ban = async (accused: TestNode, reporter?: TestNode) => {
    const by = reporter ?? (await registerNode(world));
    await report(by, accused);
    await report(by, accused);
    return must(await report(by, accused));
  };

  test('end with it: their rewards are confiscated like its balance, and what was handed in is rejected', async () => {
    const [creator, solver] = [await registerNode(world), await registerNode(world)];
    const open = [await offer(creator), await offer(creator, { deadline_days: 2 })] as const;
    const over = await offer(creator);
    must(await creator.call('POST', `/v1/bounties/${over}/cancel`));
    const content = { content: 'Here is the table.' };
    must(await solver.call('POST', `/v1/bounties/${open[0]}/submissions`, content));
    const vault = await has(world, VAULT);
    expect(await ban(creator)).toMatchObject({ event: 'PERMANENT_NODE_PURGE', confiscated_balance: '100.00' });
    expect(await Promise.all(open.map((id) => statusOf(world, id)))).toEqual(['cancelled', 'cancelled']);
    expect(await Promise.all(open.map((id) => has(world, bountyAccount(id))))).toEqual([0, 0]);
    expect((await has(world, VAULT)) - vault).toBe(100);
    const { submissions } = must(await world.call('GET', `/v1/bounties/${open[0]}`));
    expect(submissions.map((one: { status: string }) => one.status)).toEqual(['rejected']);
    expect((await solver.call('POST', `/v1/bounties/${open[0]}/submissions`, content)).status).toBe(400);
    await expectSound(world);
  });

  test('that it had beyond what one ban ends, end by the sweep, in the vault too', async () => {
    const creator = await registerNode(world);
    const bounty = await offer(creator);
    await world.db.query(`update grid_nodes set active = false, strikes = 3 where id = $1`, [creator.id]);
    await world.db.query(`update grid_bounties set ends_at = $2 where id = $1`, [bounty, world.clock.now()]);
    const vault = await has(world, VAULT);
    expect(await expire(world)).toMatchObject({ expired: 1, failed: 0 });
    expect([await statusOf(world, bounty), (await has(world, VAULT)) - vault]).toEqual(['cancelled', 20]);
    await expectSound(world);
  });

  test('an award at the moment of the ban is paid or confiscated, and the money agrees', async () => {
    for (let round = 0; round < 4; round++) {
      const [creator, solver, reporter] = [
        await registerNode(world),
        await registerNode(world),
        await registerNode(world),
      ];
      const bounty = await offer(creator);
      const path = `/v1/bounties/${bounty}`;
      const made = must(await solver.call('POST', `${path}/submissions`, { content: 'Here is the table.' }));
      const [, banned] = await Promise.all([
        creator.call('POST', `${path}/award`, { submission_id: made.submission_id }),
        ban(creator, reporter),
      ]);
      const awarded = (await statusOf(world, bounty)) === 'awarded';
      expect(banned.confiscated_balance).toBe(awarded ? '80.00' : '100.00');
      expect(await balanceOf(world, solver)).toBe(awarded ? 119.4 : 100);
    }
    await expectSound(world);
  });

  test('of a sandbox node are worth nothing: no vault that pays anybody has them', async () => {
    const [creator, reporter] = [await sandboxNode(world), await sandboxNode(world)];
    await offer(creator);
    const before = [await has(world, VAULT), await has(world, PLAY_VAULT)] as const;
    await ban(creator, reporter);
    expect([await has(world, VAULT), await has(world, PLAY_VAULT)]).toEqual([before[0], before[1] + 10_000]);
    const retired = await sandboxNode(world);
    const bounty = await offer(retired);
    world.clock.advance(8 * DAY);
    await world.grid.sandbox.retireDue(systemOp(world.clock.now()));
    await expire(world);
    expect([await statusOf(world, bounty), await has(world, bountyAccount(bounty))]).toEqual(['cancelled', 0]);
    expect([await has(world, VAULT), await has(world, PLAY_VAULT)]).toEqual([before[0], before[1] + 10_000]);
    await expectSound(world);
  });
});

test('the bounties of a node that another system ends go back to it, unless it is here again before', async () => {
  const world = await startApis();
  const [creator, fickle] = [await registerNode(world), await registerNode(world)];
  const bounties = [await offer(creator), await offer(fickle)] as const;
  const sync = (id: string, active: boolean) =>
    world.call('POST', '/api/v1/admin/sync/node', { key: SYNC_TOKEN, body: { id, active } });
  must(await sync(creator.id, false));
  must(await sync(fickle.id, false));
  must(await sync(fickle.id, true));
  expect(await expire(world)).toEqual({ expired: 1, failed: 0 });
  expect(await Promise.all(bounties.map((id) => statusOf(world, id)))).toEqual(['cancelled', 'open']);
  expect(await Promise.all(bounties.map((id) => has(world, bountyAccount(id))))).toEqual([0, 20]);
  await expectSound(world);
  await world.close();
});

describe('under the distinct policy', () => {
  let world: TestApis;
  beforeAll(async () => {
    world = await startApis();
  });
  afterAll(() => world.close());

  const admin = (method: string, path: string) => world.call(method, path, { key: ADMIN_KEY });
  const reportsOn = async (node: TestNode) => must(await admin('GET', `/v1/admin/reports?node_id=${node.id}`));
  const review = (id: string, verdict: string) =>
    admin('POST', `/v1/admin/reports/review?report_id=${id}&verdict=${verdict}`);
  const nodes = (count: number) => Promise.all(Array.from({ length: count }, () => registerNode(world)));

  /** A node that the third of three honest reporters ends. */
  async function nearlyBanned() {
    const [accused, seller, ...reporters] = (await nodes(5)) as [TestNode, TestNode, ...TestNode[]];
    await trade(world, ...reporters.map((buyer): [TestNode, TestNode] => [buyer, seller]));
    const [last, ...first] = reporters.toReversed() as [TestNode, ...TestNode[]];
    for (const reporter of first) must(await report(reporter, accused));
    return { accused, reporters, endIt: async () => must(await report(last, accused)) };
  }

  /** A node that three honest reporters have ended, with its reports. */
  async function banned() {
    const { accused, reporters, endIt } = await nearlyBanned();
    await endIt();
    return { accused, reporters };
  }

  /** While it is not open a ban does not find it, as one of more bounties than a ban ends at once. */
  const setOpen = (bounty: string, open: boolean) =>
    world.db.query(`update grid_bounties set state = $2, ended_at = $3, ends_at = $4 where id = $1`, [
      bounty,
      open ? 'open' : 'cancelled',
      open ? null : world.clock.now(),
      world.clock.now(),
    ]);

  test('three that have traded with each other only do not end a node, and who has only locked money away is not heard', async () => {
    const [accused, a, b, c] = (await nodes(4)) as [TestNode, TestNode, TestNode, TestNode];
    must(await a.call('POST', '/v1/trade/escrow/init', { seller_id: b.id, amount: 1 }));
    expect((await report(a, accused)).body).toEqual({ status: 'REPORT_LOGGED', current_strikes: 0 });
    await trade(world, [a, b], [b, c], [c, a]);
    const strikes = [];
    for (const one of [a, b, c, a, b, c]) strikes.push((await report(one, accused)).body.current_strikes);
    expect(strikes).toEqual([1, 2, 2, 2, 2, 2]);
  });

  test('what sandbox nodes have traded counts for nothing', async () => {
    const [accused, a, b] = [await sandboxNode(world), await sandboxNode(world), await sandboxNode(world)];
    await trade(world, [a, b]);
    expect((await report(a, accused)).body.status).toBe('REPORT_LOGGED');
  });

  test('three honest reporters end a node, and the operator who dismisses one brings it back with its money', async () => {
    const { accused } = await banned();
    expect((await accused.call('GET', '/v1/node/me')).status).toBe(401);
    const { reports, total } = await reportsOn(accused);
    expect(total).toBe(3);
    expect(reports[0]).toMatchObject({ counted: true, strikes: 3, confiscated: '100.00', verdict: null });
    // Whichever of them is dismissed: two strikes end nobody.
    const first = reports[2];
    expect((await review(first.report_id, 'dismiss')).body).toEqual({
      status: 'DISMISSED',
      report_id: first.report_id,
      node_id: accused.id,
      current_strikes: 2,
      active: true,
      returned_balance: '100.00',
    });
    expect((await accused.call('GET', '/v1/node/me')).body).toMatchObject({ balance_tck: '100.00', active: true });
    expect((await review(first.report_id, 'dismiss')).body.detail).toBe('This report was reviewed before');
    await expectSound(world);
  });

  test('what the sweep confiscates after a ban is given back with the rest', async () => {
    const { accused, endIt } = await nearlyBanned();
    const bounty = await offer(accused);
    await setOpen(bounty, false);
    expect((await endIt()).confiscated_balance).toBe('80.00');
    await setOpen(bounty, true);
    expect(await expire(world)).toMatchObject({ expired: 1, failed: 0 });
    const { reports } = await reportsOn(accused);
    expect(reports[0]).toMatchObject({ confiscated: '100.00' });
    expect(must(await review(reports[1].report_id, 'dismiss')).returned_balance).toBe('100.00');
    expect(await balanceOf(world, accused)).toBe(100);
    await expectSound(world);
  });

  test('what the sweep has not come to when a node is here again stays open until its deadline', async () => {
    const { accused, endIt } = await nearlyBanned();
    const bounty = await offer(accused, { deadline_days: 2 });
    await setOpen(bounty, false);
    await endIt();
    await setOpen(bounty, true);
    const { reports } = await reportsOn(accused);
    must(await review(reports[0].report_id, 'dismiss'));
    expect(await expire(world)).toEqual({ expired: 0, failed: 0 });
    expect(await statusOf(world, bounty)).toBe('open');
    world.clock.advance(2 * DAY);
    expect(await expire(world)).toEqual({ expired: 1, failed: 0 });
    await expectSound(world);
  });

  test('whose report was dismissed is heard no more; one that is upheld stands', async () => {
    const { accused, reporters } = await banned();
    const { reports } = await reportsOn(accused);
    must(await review(reports[0].report_id, 'dismiss'));
    must(await review(reports[1].report_id, 'uphold'));
    for (const reporter of reporters) must(await report(reporter, accused));
    expect(must(await world.call('GET', `/v1/nodes/${accused.id}`))).toMatchObject({ strikes: 2, active: true });
  });

  test('what was only noted becomes a strike by the operator’s word, and the third one ends the node', async () => {
    const [accused, ...strangers] = (await nodes(4)) as [TestNode, ...TestNode[]];
    for (const stranger of strangers) must(await report(stranger, accused));
    const { reports } = await reportsOn(accused);
    const strikes = [];
    for (const { report_id: id } of reports) strikes.push(must(await review(id, 'uphold')));
    expect(strikes.map(({ current_strikes: n, active }) => [n, active])).toEqual([
      [1, true],
      [2, true],
      [3, false],
    ]);
    expect(await has(world, VAULT)).toBeGreaterThanOrEqual(100);
    expect(must(await admin('GET', `/v1/admin/reports?counted=true&limit=1`)).reports).toHaveLength(1);
    await expectSound(world);
  });

  test('two verdicts at once are one, and the money is given back once', async () => {
    const { accused } = await banned();
    const { reports } = await reportsOn(accused);
    const replies = await Promise.all([
      review(reports[0].report_id, 'dismiss'),
      review(reports[0].report_id, 'dismiss'),
      review(reports[0].report_id, 'uphold'),
      review(reports[1].report_id, 'dismiss'),
    ]);
    expect(statusesOf(replies)).toEqual([200, 200, 400, 400]);
    const { active } = must(await world.call('GET', `/v1/nodes/${accused.id}`));
    expect(active).toBe(true);
    expect(await balanceOf(world, accused)).toBe(100);
    await expectSound(world);
  });

  test.each([
    ['/v1/admin/reports/review?report_id=nonsense&verdict=dismiss', 404],
    ['/v1/admin/reports/review?report_id=nonsense&verdict=perhaps', 422],
  ])('%s is answered %i', async (path, status) => {
    expect((await admin('POST', path)).status).toBe(status);
    expect((await world.call('POST', path)).status).toBe(401);
  });
});
