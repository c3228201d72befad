import { pbkdf2Sync } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { requestLimits } from '../../src/platform/limits.ts';
import { ADMIN_KEY, startApis, SYNC_TOKEN } from '../harness/apis.ts';
import { nodeWith, publish, registerNode } from './node.ts';

const world = await startApis();
afterAll(() => world.close());

describe('a node of another system', () => {
  const sync = (body: unknown, token: string | undefined = SYNC_TOKEN) =>
    world.call('POST', '/api/v1/admin/sync/node', { body, ...(token && { key: token }) });

  test('is taken over with its key and without money, and its key becomes one of ours', async () => {
    const secret = 'ab'.repeat(16);
    const salt = Buffer.from('salt of sixteen!');
    const adapted = (bytes: Buffer) => bytes.toString('base64').replaceAll('+', '.').replaceAll('=', '');
    const hash = adapted(pbkdf2Sync(secret, salt, 29_000, 32, 'sha256'));
    const body = {
      id: 'synced',
      api_key_hash: `$pbkdf2-sha256$29000$${adapted(salt)}$${hash}`,
      balance: 500,
      active: true,
    };
    expect((await sync(body)).body).toEqual({ status: 'success', node_id: 'synced' });
    const node = nodeWith(world, 'synced', { api_key: `bn_synced_${secret}` });
    // At once, and each finds the key made by itself or by another.
    const first = await Promise.all(Array.from({ length: 6 }, () => node.call('GET', '/v1/node/me')));
    expect(first.map(({ body: me }) => me.balance_tck)).toEqual(Array.from({ length: 6 }, () => '0.00'));
    expect((await node.call('GET', '/v1/account')).status).toBe(200);
    const { body: books } = await world.call('GET', '/v1/admin/ledger/reconcile', { key: ADMIN_KEY });
    expect(books.valid).toBe(true);
  });

  test('costs whoever guesses its key ten guesses a minute, and at most a few at once', async () => {
    const limited = await startApis({ limits: requestLimits, over: world });
    // Of another secret, and as dear as such a hash may be made.
    const dear = `$pbkdf2-sha256$900000$${'a'.repeat(22)}$${'b'.repeat(43)}`;
    await sync({ id: 'guessed', api_key_hash: dear });
    const guess = (n: number) =>
      limited.call('GET', '/v1/node/me', {
        headers: { 'x-api-key': `bn_guessed_${n.toString(16).padStart(32, '0')}` },
      });
    const together = await Promise.all(Array.from({ length: 30 }, (_, n) => guess(n)));
    const counts = Object.groupBy(together, ({ status }) => status);
    expect(Object.keys(counts).toSorted()).toEqual(['401', '503']);
    expect(counts[401]?.length).toBeLessThanOrEqual(8);
    expect(Number(counts[503]?.[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
    let last = 401;
    for (let n = 30; n < 45 && last === 401; n++) last = (await guess(n)).status;
    expect(last).toBe(429);
    const begun = performance.now();
    for (let n = 50; n < 60; n++) expect((await guess(n)).status).toBe(429);
    expect(performance.now() - begun).toBeLessThan(5_000); // nothing is derived any more
    await limited.close();
  });

  test('is changed where something is said of it', async () => {
    await sync({ id: 'changing', api_key_hash: 'no hash', reputation_score: 1.5 });
    await sync({ id: 'changing', active: false });
    expect((await world.call('GET', '/v1/nodes/changing')).body).toMatchObject({ reputation: 1.5, active: false });
  });

  test.each([['wrong'], [ADMIN_KEY], [undefined]])('is nobody’s to name with %j', async (token) => {
    const reply = await world.call('POST', '/api/v1/admin/sync/node', {
      body: { id: 'intruder' },
      ...(token && { key: token }),
    });
    expect(reply).toMatchObject({ status: 401, body: { detail: 'Admin authentication failed' } });
  });
});

describe('the operator', () => {
  test.each(['24h', '7d', '30d', 'all'])('sees what happened in %s', async (period) => {
    const { status, body } = await world.call('GET', `/v1/admin/stats?period=${period}`, { key: ADMIN_KEY });
    expect([status, body.period]).toEqual([200, period]);
    expect(body.metrics.total_nodes).toBeGreaterThan(0);
  });

  test('sees all figures', async () => {
    const { status, body } = await world.call('GET', '/v1/admin/metrics', { key: ADMIN_KEY });
    expect([status, body.nodes.genesis_total, body.settlements.settle_rate_pct]).toEqual([200, 200, 0]);
  });

  test('reads the books in the names of the grid', async () => {
    const node = await registerNode(world);
    const skill = await publish(node);
    const read = async (query: string) =>
      (await world.call('GET', `/v1/admin/transactions?${query}`, { key: ADMIN_KEY })).body.entries;
    expect(await read(`account=${node.id}`)).toMatchObject([
      {
        account: node.id,
        type: 'DEBIT',
        amount: '0.50',
        counterparty: 'VAULT',
        reference_type: 'LISTING_FEE',
        reference_id: skill,
      },
      {
        account: node.id,
        type: 'CREDIT',
        amount: '100.00',
        counterparty: 'MINT',
        reference_type: 'REGISTRATION_CREDIT',
      },
    ]);
    expect(await read('account=VAULT&reference_type=LISTING_FEE&limit=1')).toMatchObject([{ counterparty: node.id }]);
    expect(await read('account=nobody-is-this')).toEqual([]);
  });

  test('is told what is wrong with a credential', async () => {
    const ask = async (key?: string) => (await world.call('GET', '/v1/admin/stats', { key })).body.detail;
    expect([await ask(), await ask('wrong')]).toEqual(['Missing admin Authorization header', 'Unauthorized']);
    expect((await world.call('GET', `/v1/admin/stats?admin_key=${ADMIN_KEY}`)).status).toBe(401);
  });

  test('credits a node by its name', async () => {
    const node = await registerNode(world);
    const body = { account_id: node.id, amount_cents: 250, currency: 'TCK' };
    await world.call('POST', '/v1/admin/credits', { key: ADMIN_KEY, body });
    expect((await node.call('GET', '/v1/node/me')).body.balance_tck).toBe('102.50');
  });
});
