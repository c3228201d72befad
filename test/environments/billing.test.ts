import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { mint, REVENUE, wallet, type Leg } from '../../src/domains/ledger/index.ts';
import { uuidv7, type AccountId, type TransferId } from '../../src/kernel/ids.ts';
import { usd } from '../../src/kernel/money.ts';
import { ADMIN_KEY, startApis, type Agent, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';

let world: TestApis;
let agent: Agent;
beforeAll(async () => void (world = await startApis()));
beforeEach(async () => void (agent = await world.register()));
afterAll(() => world.close());

const get = async (what: string) => (await world.call('GET', `/api/v1/billing/${what}`, { key: agent.key })).body;
const own = () => wallet(agent.accountId as AccountId, 'USD');
const newTransfer = () => uuidv7(new Date()) as TransferId;
const move = (legs: Leg[], type = 'session'): Promise<unknown> =>
  world.ledger.submit(systemOp(), { id: newTransfer(), type, description: 'by the test', legs });
/** What the platform takes from the wallet; a negative amount gives back. */
const charge = (micros: bigint): Promise<unknown> =>
  move([
    { account: own(), amount: usd(-micros) },
    { account: REVENUE, amount: usd(micros) },
  ]);
const hold = async (micros: bigint): Promise<TransferId> => {
  const id = newTransfer();
  await world.ledger.submitHold(systemOp(), {
    id,
    type: 'reserve',
    description: 'by the test',
    from: own(),
    to: REVENUE,
    amount: usd(micros),
    releaseType: 'refund',
  });
  return id;
};
const adjust = (cents: number) =>
  world.call('POST', '/v1/admin/credits', {
    key: ADMIN_KEY,
    body: { account_id: agent.accountId, amount_cents: cents },
  });

/** What both routes say, which is always the same and what the ledger says. */
async function sums(): Promise<[balance: number, deposited: number, used: number]> {
  const [balance, usage, ledger] = [
    await get('balance'),
    await get('usage'),
    await world.ledger.balance(world.db, own()),
  ];
  const said: [number, number, number] = [balance.balance, balance.total_deposited, balance.total_spent];
  expect([usage.current_balance_cents, usage.total_deposits_cents, usage.total_usage_cents]).toEqual(said);
  expect(said[1] - said[2]).toBe(said[0]);
  expect(said[0]).toBe(Math.floor(Number(ledger.available) / 10_000));
  return said;
}

describe('the balance', () => {
  test('of a new account is nothing since it was opened', async () => {
    expect(await get('balance')).toEqual({
      user_id: agent.accountId,
      balance: 0,
      total_deposited: 0,
      total_spent: 0,
      stripe_customer_id: null,
      last_updated: (await world.call('GET', '/users/me', { key: agent.key })).body.created_at,
    });
  });

  test('adds up after deposits, prices, prices given back, reserves and what the operator takes', async () => {
    await world.credit(agent.accountId, 2_000);
    expect(await sums()).toEqual([2_000, 2_000, 0]);
    await charge(1_234_567n);
    expect(await sums()).toEqual([1_876, 2_000, 124]);
    await charge(-234_567n);
    expect(await sums()).toEqual([1_900, 2_000, 100]);
    const taken = await hold(5_000_000n);
    expect(await sums()).toEqual([1_400, 2_000, 600]);
    await world.ledger.submitResolution(systemOp(), taken, { kind: 'post', amount: usd(10_001n) });
    expect(await sums()).toEqual([1_898, 2_000, 102]);
    await adjust(-98);
    await adjust(50);
    expect(await sums()).toEqual([1_850, 2_050, 200]);
  });

  test('counts what comes from another account as come in, and what goes to it as used', async () => {
    const other = await world.register();
    await world.credit(other.accountId, 100);
    await move([
      { account: wallet(other.accountId as AccountId, 'USD'), amount: usd(-700_000n) },
      { account: own(), amount: usd(700_000n) },
    ]);
    expect(await sums()).toEqual([70, 70, 0]);
    agent = other;
    expect(await sums()).toEqual([30, 100, 70]);
  });

  test('was last changed when the ledger says so', async () => {
    await world.credit(agent.accountId, 100);
    const [row] = (await world.call('GET', '/v1/credits/history', { key: agent.key })).body.transactions;
    expect((await get('balance')).last_updated).toBe(row.created_at);
  });
});

describe('the usage', () => {
  test('has a row for every change, newest first, in pages whose amounts add up to the balance', async () => {
    await world.credit(agent.accountId, 1_000);
    for (let n = 1n; n <= 30n; n++) await charge(n * 3_333n);
    const pages = [];
    for (let page = 1; page <= 4; page++) pages.push(await get(`usage?page=${page}&limit=10`));
    expect(
      pages.map(({ transactions, has_more, total_count, page, limit }) => [
        transactions.length,
        has_more,
        total_count,
        page,
        limit,
      ]),
    ).toEqual([
      [10, true, 31, 1, 10],
      [10, true, 31, 2, 10],
      [10, true, 31, 3, 10],
      [1, false, 31, 4, 10],
    ]);
    const rows = pages.flatMap(({ transactions }) => transactions);
    expect(new Set(rows.map(({ id }) => id)).size).toBe(31);
    expect(rows.reduce((sum, { amount_cents }) => sum + amount_cents, 0)).toBe(pages[0].current_balance_cents);
    const history = (await world.call('GET', '/v1/credits/history', { key: agent.key })).body.transactions;
    expect(rows).toEqual(history);
    const usual = await get('usage');
    expect([usual.transactions.length, usual.limit]).toEqual([25, 25]);
    expect(await get('usage?page=1000000&limit=100')).toMatchObject({
      transactions: [],
      has_more: false,
      total_count: 31,
    });
  });

  test('agrees with itself while money moves', async () => {
    await world.credit(agent.accountId, 100_000);
    let working = true;
    const work = async () => {
      for (let n = 0; n < 60; n++) await charge(10_007n);
      working = false;
    };
    const look = async () => {
      while (working) {
        const page = await get('usage?limit=100');
        const sum = page.transactions.reduce(
          (total: number, row: { amount_cents: number }) => total + row.amount_cents,
          0,
        );
        expect([page.transactions.length, sum]).toEqual([page.total_count, page.current_balance_cents]);
        expect(page.total_deposits_cents - page.total_usage_cents).toBe(page.current_balance_cents);
      }
    };
    await Promise.all([work(), look(), look()]);
    expect((await get('usage')).total_count).toBe(61);
  });

  test('is the caller’s own', async () => {
    await world.credit(agent.accountId, 100);
    agent = await world.register();
    expect(await get('usage')).toMatchObject({ transactions: [], total_count: 0, current_balance_cents: 0 });
  });
});

test('the prices are everybody’s to see', async () => {
  const reply = await world.call('GET', '/billing/pricing');
  expect([reply.status, reply.body]).toEqual([
    200,
    {
      currency: 'usd',
      sessions: { per_hour_cents: 15, large_per_hour_cents: 45, billed_from: 'created_at', granularity: 'second' },
    },
  ]);
});

describe('cards, while they are not set up', () => {
  test.each([
    ['deposit', { amount_cents: 500 }],
    ['deposit', { amount_cents: 500, currency: 'usd' }],
    ['webhook', { id: 'evt_1', object: 'event', type: 'checkout.session.completed', data: { object: {} } }],
  ])('%s %j answers 503 and changes nothing', async (what, body) => {
    const reply = await world.call('POST', `/billing/${what}`, { key: agent.key, body });
    expect([reply.status, reply.body]).toEqual([503, { detail: 'Card payments are not set up on this server' }]);
    expect(reply.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await sums()).toEqual([0, 0, 0]);
  });

  test.each([
    ['deposit', { amount_cents: 499 }],
    ['deposit', { amount_cents: 500, currency: 'eur' }],
    ['webhook', { type: 'x' }],
  ])('%s %j is still looked at first', async (what, body) => {
    expect((await world.call('POST', `/billing/${what}`, { key: agent.key, body })).status).toBe(422);
  });

  test('the ledger knows nothing of any of it', async () => {
    const { USD } = await world.ledger.reconcile(world.db);
    expect(USD.discrepancies).toEqual([]);
    expect(await world.ledger.balance(world.db, mint('USD'))).toMatchObject({ held: 0n });
  });
});
