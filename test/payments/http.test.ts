import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HOUR } from '../../src/kernel/time.ts';
import { ADMIN_KEY, startApis, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { startBetween, type Between } from './between.ts';
import { startNode, type TestCoin, type TestNode } from './node.ts';

const CONFIRMATIONS = 2;
const USDC = 1_000_000n;

let node: TestNode;
let between: Between;
let coin: TestCoin;
let world: TestApis;
beforeAll(async () => {
  node = await startNode();
  between = await startBetween(node.url);
  coin = await node.coin();
  world = await startApis({
    evm: { rpcUrl: between.url, token: coin.address, confirmations: CONFIRMATIONS, formerCoins: 'credited' },
  });
});
afterAll(async () => {
  await world.close();
  await between.stop();
  await node.stop();
});

let people = 0;
async function person() {
  const body = { email: `person-${++people}@example.com`, password: 'correct horse battery staple' };
  const { accessToken, user } = (await world.call('POST', '/auth/register', { body })).body;
  let key: string = accessToken;
  const logIn = async () => void (key = (await world.call('POST', '/auth/login', { body })).body.accessToken);
  const call = (method: string, path: string, sent?: unknown, headers?: Record<string, string>) =>
    world.call(method, path, { key, ...(sent !== undefined && { body: sent }), ...(headers && { headers }) });
  return { id: user.id as string, call, logIn };
}

/** What sweeps and jobs do where they run. */
async function sweep(): Promise<void> {
  const op = systemOp(world.clock.now());
  while ((await world.payments.watch(op)) > 0);
  await world.compute.tick(op);
  for (const { id } of await world.db.query<{ id: never }>(`select id from servers`))
    await world.compute.settle(op, id);
}

const WISH = { amountUsd: '25.00', coin: 'USDC' };

describe('an agent that nobody helps', () => {
  test('registers, asks for an address, pays, and has the money once enough blocks stand on it', async () => {
    const { call } = await person();
    const { accepts, topups } = (await call('GET', '/billing/topups')).body;
    expect(topups).toEqual([]);
    expect(accepts).toMatchObject({ coin: 'USDC', chainId: 31_337, decimals: 6, confirmations: CONFIRMATIONS });
    const asked = await call('POST', '/billing/topups', { amountUsd: '25', coin: accepts.coin });
    expect(asked.status).toBe(201);
    expect(asked.body).toMatchObject({ amount: '25.00', status: 'pending', receivedUsd: '0.00', confirmations: 0 });
    const { id, address } = asked.body;
    const shown = async () => (await call('GET', `/billing/topups/${id}`)).body;
    await coin.pay(address, 25n * USDC);
    await sweep();
    expect(await shown()).toMatchObject({ status: 'confirming', confirmations: 1, confirmationsNeeded: CONFIRMATIONS });
    expect((await call('GET', '/billing')).body.balance).toBe('0.00');
    await node.mine(1);
    await sweep();
    expect(await shown()).toMatchObject({ ...asked.body, status: 'paid', receivedUsd: '25.00', confirmations: 2 });
    expect((await call('GET', '/billing')).body.balance).toBe('25.00');
    expect((await call('GET', '/billing/topups')).body.topups).toEqual([await shown()]);
    const proof = (await world.call('GET', '/v1/admin/ledger/reconcile', { key: ADMIN_KEY })).body;
    expect(proof.currencies.USD.valid).toBe(true);
  });

  test('wakes its suspended server by paying', async () => {
    const { id: accountId, call, logIn } = await person();
    await world.credit(accountId, 2);
    const order = { label: 'my-bot', planId: 'vc2-1c-1gb', regionId: 'ams' };
    const { server } = (await call('POST', '/servers', order)).body;
    const status = async () => (await call('GET', `/servers/${server.id}`)).body.server.status;
    await sweep();
    expect(await status()).toBe('ACTIVE');
    world.clock.advance(HOUR);
    await logIn();
    await sweep();
    expect(await status()).toBe('SUSPENDED');
    expect((await call('POST', '/servers', order)).status).toBe(402);
    const { address } = (await call('POST', '/billing/topups', { amountUsd: 1, coin: 'usdc' })).body;
    await coin.pay(address, USDC);
    await node.mine(CONFIRMATIONS);
    await sweep();
    expect(await status()).toBe('ACTIVE');
  });
});

describe('POST /billing/topups', () => {
  test('says what is wrong with the coin or the amount', async () => {
    const { call } = await person();
    const wrong = await call('POST', '/billing/topups', { amountUsd: '25.00', coin: 'BTC' });
    expect(wrong).toMatchObject({ status: 400, body: { error: 'coin must be USDC' } });
    expect(wrong.body.details).toEqual([{ in: 'body', field: 'coin', message: 'coin must be USDC' }]);
    for (const amountUsd of ['0', '10000.01', '1.005', 'much', -1, 0, 1e21, null, true, [25]]) {
      const { status, body } = await call('POST', '/billing/topups', { amountUsd, coin: 'USDC' });
      expect([amountUsd, status, body.details[0].message]).toEqual([
        amountUsd,
        400,
        'amountUsd must be US dollars from 1 to 10000 with at most two decimals, as in "25.00"',
      ]);
    }
  });

  test('once more under its Idempotency-Key gives the same address', async () => {
    const { call } = await person();
    const named = { 'idempotency-key': 'top me up' };
    const [one, two] = [
      await call('POST', '/billing/topups', WISH, named),
      await call('POST', '/billing/topups', WISH, named),
    ];
    expect(two.body).toEqual(one.body);
    expect((await call('GET', '/billing/topups')).body.topups).toHaveLength(1);
    expect((await call('POST', '/billing/topups', { ...WISH, amountUsd: '26' }, named)).status).toBe(409);
  });

  test('is 503 with Retry-After while the chain does not answer, and where none is set up', async () => {
    const { call } = await person();
    between.trick = () => ({ status: 500, body: 'oops' });
    const away = await call('POST', '/billing/topups', WISH);
    between.trick = undefined;
    expect(away).toMatchObject({ status: 503, body: { error: expect.stringContaining('Try again in a minute') } });
    expect(away.headers.get('retry-after')).toBe('60');
    const without = await startApis({ over: world });
    try {
      const key = (await without.register()).key;
      const refused = await without.call('POST', '/billing/topups', { key, body: WISH });
      expect(refused).toMatchObject({ status: 503, body: { error: expect.stringContaining('takes no top-ups') } });
      expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
      expect((await without.call('GET', '/billing/topups', { key })).body).toEqual({ topups: [], accepts: null });
    } finally {
      await without.close();
    }
  });

  test('shows nobody another’s top-up', async () => {
    const [ada, bob] = [await person(), await person()];
    const { id } = (await ada.call('POST', '/billing/topups', WISH)).body;
    expect((await bob.call('GET', `/billing/topups/${id}`)).status).toBe(404);
    expect((await bob.call('GET', '/billing/topups')).body.topups).toEqual([]);
  });
});

test('the operator is told where the wallet is, and no reply has its words', async () => {
  const exported = await world.call('POST', '/v1/admin/topups/wallet', { key: ADMIN_KEY });
  expect(exported).toMatchObject({
    status: 200,
    body: { file: expect.stringMatching(/topup-wallet\.txt$/), derivation_path: "m/44'/60'/0'/0/INDEX" },
  });
  expect(Object.keys(exported.body)).toEqual(['file', 'paid_addresses', 'derivation_path']);
});

test('the operator has the chain read once more for an address, of which nothing is credited twice', async () => {
  const { call } = await person();
  const { id, address } = (await call('POST', '/billing/topups', WISH)).body;
  await coin.pay(address, USDC);
  await node.mine(CONFIRMATIONS);
  await sweep();
  const rescan = (body: unknown) => world.call('POST', '/v1/admin/topups/rescan', { key: ADMIN_KEY, body });
  expect(await rescan({ topup_id: id })).toMatchObject({ status: 202, body: { addresses: 1 } });
  await sweep();
  expect((await call('GET', '/billing')).body.balance).toBe('1.00');
  expect((await rescan({ account_id: id })).status).toBe(404);
  expect((await rescan({ topup_id: 'all' })).status).toBe(400);
  expect((await call('POST', '/v1/admin/topups/rescan', {})).status).toBe(401);
});

test('the operator, and nobody else, is shown what was set aside', async () => {
  const { id: accountId, call } = await person();
  const { id, address } = (await call('POST', '/billing/topups', WISH)).body;
  const txHash = await coin.pay(address, 10n ** 16n);
  await node.mine(CONFIRMATIONS);
  await sweep();
  const { status, body } = await world.call('GET', '/v1/admin/topups/set-aside', { key: ADMIN_KEY });
  expect(status).toBe(200);
  expect(body.payments).toEqual([
    {
      topup_id: id,
      account_id: accountId,
      chain_id: 31_337,
      tx_hash: txHash,
      log_index: 0,
      block: expect.any(Number),
      coin: 'USDC',
      units: String(10n ** 16n),
      amount_usd: '10000000000.000000',
      set_aside_at: expect.stringMatching(/Z$/),
    },
  ]);
  expect((await call('GET', '/v1/admin/topups/set-aside')).status).toBe(401);
});
