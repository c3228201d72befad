import { afterAll, describe, expect, test } from 'vitest';
import { mint } from '../../src/domains/ledger/index.ts';
import { DAY, HOUR } from '../../src/kernel/time.ts';
import { requestLimits } from '../../src/platform/limits.ts';
import { startApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { accountOf, balanceOf, expectSound, give, has } from './money.ts';
import { nodeWith, publish, registerNode, type TestNode } from './node.ts';
import { runSweep } from './trades.ts';

const world = await startApis();
afterAll(() => world.close());

const BOUNTY = { title: 'Summarise papers', description: 'A table with one row for each paper.', reward_tck: 50 };
const open = (body: object = {}) => world.call('POST', '/v1/sandbox/nodes', { body });
const play = async (): Promise<TestNode> => {
  const { body } = await open();
  return nodeWith(world, body.node_id, body);
};
const retire = () => world.grid.sandbox.retireDue(systemOp(world.clock.now()));

describe('a sandbox node', () => {
  test('is there at once, with 10,000 TCK and a key that opens the grid', async () => {
    const { status, body } = await open({ alias: 'me' });
    expect([status, body]).toEqual([
      200,
      {
        node_id: expect.stringMatching(/^sandbox-[0-9a-f]{16}$/),
        alias: 'me',
        api_key: expect.stringMatching(/^bn_sandbox-[0-9a-f]{16}_[0-9a-f]{32}$/),
        balance: '10000.00',
        cri_score: 50,
        sandbox: true,
        expires_in: '7 days',
        note: expect.any(String),
      },
    ]);
    const node = nodeWith(world, body.node_id, body);
    const wallet = (await node.call('GET', '/v1/mcp/wallet')).body;
    expect(wallet).toMatchObject({ node_id: node.id, balance_tck: '10000.00', cri_score: 50 });
    await expectSound(world);
  });

  test('is the same one again for a request that is repeated under its key', async () => {
    const headers = { 'idempotency-key': 'a sandbox node' };
    const first = await world.call('POST', '/v1/sandbox/nodes', { body: {}, headers });
    await world.db.query('delete from idempotency_records');
    const second = await world.call('POST', '/v1/sandbox/nodes', { body: {}, headers });
    expect(second.body).toEqual(first.body);
    expect(await balanceOf(world, nodeWith(world, first.body.node_id, first.body))).toBe(10_000);
  });

  test('takes no part in the bounties of nodes that trade for real, nor they in its own', async () => {
    const [real, player, other] = [await registerNode(world), await play(), await play()];
    await give(world, real, 100);
    const bountyOf = async (node: TestNode): Promise<string> =>
      (await node.call('POST', '/v1/bounties', BOUNTY)).body.bounty_id;
    const [forReal, forPlay] = [await bountyOf(real), await bountyOf(player)];
    const handIn = async (node: TestNode, bounty: string) =>
      (await node.call('POST', `/v1/bounties/${bounty}/submissions`, { content: 'Here it is.' })).status;
    expect(await handIn(player, forReal)).toBe(403);
    expect(await handIn(real, forPlay)).toBe(403);
    expect(await handIn(other, forPlay)).toBe(200);
    const listed = async (query: string) =>
      (await world.call('GET', `/v1/bounties${query}`)).body.bounties.map(
        (one: { bounty_id: string }) => one.bounty_id,
      );
    expect(await listed('')).toEqual([forReal]);
    expect(await listed('?sandbox=true')).toEqual([forPlay]);
  });

  test.each(['house', 'botnode-official'])('pays %s, a name that nobody can register to be paid', async (name) => {
    const taken = await world.call('POST', '/v1/node/register', { body: { node_id: name } });
    expect([taken.status, taken.body.detail]).toEqual([400, 'Node ID already registered']);
  });

  test('ends after seven days, and its money is gone', async () => {
    const [player, later] = [await play(), await registerNode(world)];
    const account = await accountOf(player);
    await publish(player, { label: 'Play', price: 1 });
    world.clock.advance(7 * DAY - HOUR);
    expect((await player.call('GET', '/v1/mcp/wallet')).status).toBe(200);
    world.clock.advance(HOUR);
    const minted = await has(world, mint('TCK'));
    // At once, and each one once.
    await Promise.all([retire(), retire()]);
    expect(await retire()).toBe(0);
    expect((await player.call('GET', '/v1/mcp/wallet')).status).toBe(401);
    expect((await later.call('GET', '/v1/mcp/wallet')).status).toBe(200);
    const [{ left } = { left: 0n }] = await world.db.query<{ left: bigint }>(
      `select posted as left from ledger_accounts where code = $1`,
      [`wallet:${account}:TCK`],
    );
    expect(left).toBe(0n);
    expect((await has(world, mint('TCK'))) - minted).toBeGreaterThanOrEqual(9_999.5);
    await expectSound(world);
  });

  test('is made twenty times an hour from one address', async () => {
    const limited = await startApis({ limits: requestLimits, over: world });
    const ask = () => limited.call('POST', '/v1/sandbox/nodes', { body: {} });
    const statuses = [];
    for (let count = 0; count < 21; count++) statuses.push((await ask()).status);
    expect(statuses).toEqual([...Array.from({ length: 20 }, () => 200), 429]);
    await limited.close();
  });
});

describe('a trade that is shown around', () => {
  const TRADE = { node_id: 'sandbox-1', skill: 'CSV <b>Parser</b>', price: 0.5, task_id: null, balance: '9999.50' };

  test('is shown for 90 days, and then no more', async () => {
    const share = async () => (await world.call('POST', '/v1/sandbox/share', { body: TRADE })).body.share_id as string;
    const old = await share();
    world.clock.advance(89 * DAY);
    const fresh = await share();
    await runSweep(world, 'grid.forget-shares');
    expect((await world.grid.sandbox.shared(old)).id).toBe(old);
    world.clock.advance(2 * DAY);
    await runSweep(world, 'grid.forget-shares');
    await expect(world.grid.sandbox.shared(old)).rejects.toMatchObject({ code: 'not_found' });
    expect((await world.grid.sandbox.shared(fresh)).id).toBe(fresh);
  });

  test('has a short name and an address', async () => {
    const { status, body } = await world.call('POST', '/v1/sandbox/share', { body: TRADE });
    expect(status).toBe(200);
    expect(body.share_id).toMatch(/^[0-9a-f]{8}$/);
    expect(body.url).toBe(`https://freehold.test/sandbox/trade/${body.share_id}`);
    expect((await world.grid.sandbox.shared(body.share_id)).trade).toEqual({
      node_id: 'sandbox-1',
      skill: 'CSV <b>Parser</b>',
      price: 0.5,
      balance: '9999.50',
    });
  });

  test.each([[{ skill: 'x'.repeat(201) }], [{ price: {} }], [{ node_id: 7 }]])('is refused with %j', async (body) =>
    expect((await world.call('POST', '/v1/sandbox/share', { body })).status).toBe(422),
  );
});
