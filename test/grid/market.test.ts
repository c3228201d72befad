import { afterAll, describe, expect, test } from 'vitest';
import { ADMIN_KEY, startApis } from '../harness/apis.ts';
import { publish, registerNode, type TestNode } from './node.ts';

const world = await startApis();
afterAll(() => world.close());

const browse = async (query = '') => (await world.call('GET', `/v1/marketplace${query}`)).body;
const balanceOf = async (node: TestNode): Promise<string> => (await node.call('GET', '/v1/node/me')).body.balance_tck;

describe('the market', () => {
  test('shows what was offered in the order in which it was, with what it costs', async () => {
    const [one, two] = [await registerNode(world), await registerNode(world)];
    await publish(one, { price: 3, label: 'Alpha parser', metadata: { category: 'parsing', validators: [] } });
    await publish(two, { price: 0.1234, label: 'Beta', metadata: { category: 'parsing', description: 'PARSES beta' } });
    await publish(one, { price: 5, label: 'Gamma', metadata: { category: 'other' } });
    const all = await browse();
    expect(all).toMatchObject({ market_status: 'HIGH_LIQUIDITY', total: 3, limit: 50, offset: 0 });
    expect(all.price_stats).toEqual({ min: '0.1234', max: '5.00', average: '2.7078', median: '3.00' });
    expect(all.listings.map(({ label }: { label: string }) => label)).toEqual(['Alpha parser', 'Beta', 'Gamma']);
    expect(all.listings[0]).toMatchObject({ provider_id: one.id, price_tck: '3.00', validators: [] });
    const labels = async (query: string) => (await browse(query)).listings.map(({ label }: { label: string }) => label);
    expect(await labels('?category=parsing')).toEqual(['Alpha parser', 'Beta']);
    expect(await labels('?q=pars')).toEqual(['Alpha parser', 'Beta']);
    expect(await labels('?q=%25')).toEqual([]);
    expect(await labels('?min_price=0.2&max_price=4.99')).toEqual(['Alpha parser']);
    expect(await labels('?limit=1&offset=1')).toEqual(['Beta']);
    expect(await browse('?q=nothing-like-it')).toMatchObject({ total: 0, price_stats: null, listings: [] });
  });

  test('refuses a page of more than 200', async () => {
    expect((await world.call('GET', '/v1/marketplace?limit=201')).status).toBe(422);
  });

  test('takes half a TCK for a listing, into the vault', async () => {
    const node = await registerNode(world);
    const before = await vault();
    await publish(node);
    expect([await balanceOf(node), (await vault()) - before]).toEqual(['99.50', 0.5]);
  });

  test('refuses a listing that cannot be paid, and takes nothing', async () => {
    const node = await registerNode(world);
    await world.call('POST', '/v1/admin/credits', {
      key: ADMIN_KEY,
      body: { account_id: node.id, amount_cents: -9_951, currency: 'TCK' },
    });
    const body = { type: 'SKILL_OFFER', label: 'x', price_tck: 1, metadata: {} };
    const reply = await node.call('POST', '/v1/marketplace/publish', body);
    expect(reply).toMatchObject({ status: 402, body: { detail: 'Insufficient funds for publishing fee' } });
    expect(await balanceOf(node)).toBe('0.49');
    expect((await node.call('GET', '/v1/node/me')).body).toMatchObject({ skills: [], tck_spent: 0 });
  });

  test.each([
    ['of another type', { type: 'SOMETHING' }, 'type'],
    ['for less than nothing', { price_tck: -5 }, 'price_tck'],
    ['for nothing', { price_tck: 0 }, 'price_tck'],
    ['for too much', { price_tck: 10_000.1 }, 'price_tck'],
    ['without a label', { label: '' }, 'label'],
  ])('refuses an offer %s', async (_what, change, field) => {
    const node = await registerNode(world);
    const body = { type: 'SKILL_OFFER', label: 'x', price_tck: 1, metadata: {}, ...change };
    const reply = await node.call('POST', '/v1/marketplace/publish', body);
    expect(reply.status).toBe(422);
    expect(reply.body.detail.map((wrong: { field: string }) => wrong.field)).toEqual([field]);
  });

  test('the same request twice is one listing and one fee', async () => {
    const node = await registerNode(world);
    const body = { type: 'SKILL_OFFER', label: 'once', price_tck: 1, metadata: {} };
    const send = () => node.call('POST', '/v1/marketplace/publish', body, { 'idempotency-key': 'one' });
    const [first, second] = [await send(), await send()];
    expect(second.body).toEqual(first.body);
    expect(await balanceOf(node)).toBe('99.50');
  });

  test('shows what one node offers without reading its metadata', async () => {
    const node = await registerNode(world);
    const id = await publish(node, { price: 2, label: 'Heavy', metadata: { text: 'x'.repeat(40_000) } });
    const { body } = await world.call('GET', `/v1/nodes/${node.id}`);
    expect(body.skills).toEqual([{ id, label: 'Heavy', price: '2.00' }]);
    const found = await world.grid.market.skillsOf((await world.grid.nodes.get(node.id)).id);
    expect(found).toEqual([{ id, label: 'Heavy', price: 20_000n }]);
  });

  test('a session token offers too', async () => {
    const node = await registerNode(world);
    const body = { type: 'SKILL_OFFER', label: 'x', price_tck: 1, metadata: {} };
    expect((await world.call('POST', '/v1/marketplace/publish', { key: node.token, body })).status).toBe(200);
  });
});

const vault = async (): Promise<number> => {
  const { body } = await world.call('GET', '/v1/admin/ledger/reconcile', { key: ADMIN_KEY });
  expect(body.valid).toBe(true);
  return Number(body.total_in_vault);
};
