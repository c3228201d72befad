import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { wallet, mint } from '../../src/domains/ledger/index.ts';
import { uuidv7, type AccountId, type TransferId } from '../../src/kernel/ids.ts';
import { usd } from '../../src/kernel/money.ts';
import { ADMIN_KEY, startApis, statusesOf, type Agent, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';

let world: TestApis;
let agent: Agent;
beforeAll(async () => void (world = await startApis()));
beforeEach(async () => void (agent = await world.register()));
afterAll(() => world.close());

const credits = async (path: string) => (await world.call('GET', `/v1/credits/${path}`, { key: agent.key })).body;
const balance = async () => (await credits('balance')).balance_cents as number;
type Row = { id: string; type: string; amount_cents: number; balance_after_cents: number; description: string };
const history = async (query = ''): Promise<Row[]> => (await credits(`history${query}`)).transactions;
const admin = (body: Record<string, unknown>, headers: Record<string, string> = {}) =>
  world.call('POST', '/v1/admin/credits', { key: ADMIN_KEY, body: { account_id: agent.accountId, ...body }, headers });
const task = (budget: number) =>
  world.call('POST', '/v1/tasks', {
    key: agent.key,
    body: { prompt: 'Say hello to the world.', budget_cents: budget },
  });

describe('the balance', () => {
  test('starts at nothing, with no history', async () => {
    expect(await credits('balance')).toEqual({ balance_cents: 0 });
    expect(await credits('history')).toEqual({ transactions: [] });
  });

  test('has a row in the history for every change, newest first, and the amounts add up to it', async () => {
    await admin({ amount_cents: 500 });
    await admin({ amount_cents: -120, description: 'Returned by request' });
    const { body } = await task(100);
    await world.call('POST', `/v1/tasks/${body.id}/cancel`, { key: agent.key });
    const rows = await history();
    expect(
      rows.map(({ type, amount_cents, balance_after_cents }) => [type, amount_cents, balance_after_cents]),
    ).toEqual([
      ['task_refund', 100, 380],
      ['task_reserve', -100, 280],
      ['adjustment', -120, 380],
      ['deposit', 500, 500],
    ]);
    expect(rows[3]).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      type: 'deposit',
      amount_cents: 500,
      balance_after_cents: 500,
      description: 'Admin top-up',
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    });
    expect(rows[2]?.description).toBe('Returned by request');
    expect(await balance()).toBe(380);
  });

  test('shows whole cents, rounded down, and amounts that still add up', async () => {
    const account = wallet(agent.accountId as AccountId, 'USD');
    for (const micros of [9_999n, 2n, 14_999n]) {
      await world.ledger.submit(systemOp(), {
        id: uuidv7(new Date()) as TransferId,
        type: 'deposit',
        description: 'Parts of a cent',
        legs: [
          { account: mint('USD'), amount: usd(-micros) },
          { account, amount: usd(micros) },
        ],
      });
    }
    const rows = await history();
    expect(rows.map((row) => [row.amount_cents, row.balance_after_cents])).toEqual([
      [1, 2],
      [1, 1],
      [0, 0],
    ]);
    expect(await balance()).toBe(2);
  });

  test('is nobody else’s', async () => {
    await admin({ amount_cents: 500 });
    const other = await world.register();
    expect((await world.call('GET', '/v1/credits/balance', { key: other.key })).body).toEqual({ balance_cents: 0 });
    expect((await world.call('GET', '/v1/credits/history', { key: other.key })).body).toEqual({ transactions: [] });
  });

  test('has a history of fifty rows unless asked for another number', async () => {
    for (let n = 1; n <= 52; n++) await admin({ amount_cents: n });
    expect(await history()).toHaveLength(50);
    expect((await history('?limit=2')).map((row) => row.amount_cents)).toEqual([52, 51]);
    expect(await history('?limit=1000')).toHaveLength(52);
    for (const limit of ['0', '1001'])
      expect((await world.call('GET', `/v1/credits/history?limit=${limit}`, { key: agent.key })).status).toBe(400);
  });
});

test('the prices are those of the sheet', async () => {
  expect(await credits('pricing')).toEqual({
    compute: { sandbox_per_hour_cents: { '1vcpu_512mb': 5, '2vcpu_2gb': 15, '4vcpu_8gb': 45 } },
    inference: { description: 'Pass-through at cost + 10%' },
    topup_tiers_usd: [5, 25, 100, 500, 1000, 2500],
  });
});

describe('a credit by the operator', () => {
  test('answers the new balance and the transfer, which is the id in the history', async () => {
    const { status, body } = await admin({ amount_cents: 500 });
    expect([status, body]).toEqual([
      200,
      { account_id: agent.accountId, balance_cents: 500, transaction_id: expect.any(String) },
    ]);
    expect((await history())[0]?.id).toBe(body.transaction_id);
  });

  test('may be negative, as far as the money goes', async () => {
    await admin({ amount_cents: 500 });
    expect((await admin({ amount_cents: -500 })).body.balance_cents).toBe(0);
    expect(await admin({ amount_cents: -1 })).toMatchObject({ status: 402, body: { error: 'Insufficient balance' } });
    expect(await balance()).toBe(0);
    expect(await history()).toHaveLength(2);
  });

  test('may not take what is reserved for a task', async () => {
    await admin({ amount_cents: 100 });
    expect((await task(60)).status).toBe(202);
    expect((await admin({ amount_cents: -41 })).status).toBe(402);
    expect((await admin({ amount_cents: -40 })).status).toBe(200);
  });

  test('of TCK is in hundredths of a TCK and does not touch dollars', async () => {
    expect((await admin({ amount_cents: 12_345, currency: 'TCK' })).body.balance_cents).toBe(12_345);
    const { posted } = await world.ledger.balance(world.db, wallet(agent.accountId as AccountId, 'TCK'));
    expect(posted).toBe(1_234_500n);
    expect(await balance()).toBe(0);
    expect((await admin({ amount_cents: -12_346, currency: 'TCK' })).status).toBe(402);
  });

  test.each([
    ['in the header', {}, { 'idempotency-key': 'header-key' }],
    ['in the body', { idempotency_key: 'body-key' }, {}],
    ['in both', { idempotency_key: 'both-keys' }, { 'idempotency-key': 'both-keys' }],
  ])(
    'repeated under its key %s has one effect and one transaction id',
    async (_where, field, headers: Record<string, string>) => {
      const first = await admin({ amount_cents: 500, ...field }, headers);
      const again = await admin({ amount_cents: 500, ...field }, headers);
      expect([again.status, again.body]).toEqual([200, first.body]);
      expect(await balance()).toBe(500);
      expect((await admin({ amount_cents: 501, ...field }, headers)).status).toBe(409);
      await world.db.query('delete from idempotency_records');
      expect((await admin({ amount_cents: 500, ...field }, headers)).body).toEqual(first.body);
      expect(await balance()).toBe(500);
    },
  );

  test('under two different keys at once is refused', async () => {
    expect((await admin({ amount_cents: 5, idempotency_key: 'one' }, { 'idempotency-key': 'two' })).status).toBe(400);
  });

  test('asked for many times at once under one key has one effect', async () => {
    const replies = await Promise.all(
      Array.from({ length: 10 }, () => admin({ amount_cents: 7, idempotency_key: 'at-once' })),
    );
    expect(new Set(statusesOf(replies)).difference(new Set([200, 409]))).toEqual(new Set());
    expect(await balance()).toBe(7);
  });

  test('of two debits at once that the balance covers once, exactly one succeeds', async () => {
    await admin({ amount_cents: 100 });
    const replies = await Promise.all(Array.from({ length: 8 }, () => admin({ amount_cents: -100 })));
    expect(statusesOf(replies)).toEqual([200, 402, 402, 402, 402, 402, 402, 402]);
    expect(await balance()).toBe(0);
  });

  test('needs an account that exists', async () => {
    for (const account_id of ['01890000-0000-7000-8000-000000000000', 'node-1'])
      expect(await admin({ account_id, amount_cents: 1 })).toMatchObject({
        status: 404,
        body: { error: 'Account not found' },
      });
  });

  test.each([
    ['nothing', 0],
    ['parts of a cent', 1.5],
    ['more than there is', 1e13],
    ['text', '500'],
  ])('of %s is malformed', async (_what, amount_cents) => {
    expect((await admin({ amount_cents })).status).toBe(400);
  });

  test('is not for agents', async () => {
    const body = { account_id: agent.accountId, amount_cents: 1 };
    expect((await world.call('POST', '/v1/admin/credits', { key: agent.key, body })).status).toBe(401);
  });
});

describe('the proof of the ledger', () => {
  const reconcile = async () => (await world.call('GET', '/v1/admin/ledger/reconcile', { key: ADMIN_KEY })).body;

  test('holds for each currency, and says where the TCK are', async () => {
    await admin({ amount_cents: 500 });
    await admin({ amount_cents: 250, currency: 'TCK' });
    await task(100);
    const proof = await reconcile();
    expect(proof).toMatchObject({
      valid: true,
      total_in_vault: '0.0000',
      total_in_escrow: '0.0000',
      total_in_bounties: '0.0000',
      discrepancy: '0.0000',
      conservation: { holds: true },
      currencies: { USD: { valid: true, discrepancies: [] }, TCK: { valid: true, discrepancies: [] } },
    });
    expect(proof.total_minted).toBe(proof.total_in_wallets);
    expect(proof.sum_accounted).toBe(proof.total_in_wallets);
    expect(proof.currencies.USD.sum_of_balances).toBe('0.000000');
    expect(Number(proof.currencies.USD.sum_of_holds)).toBeGreaterThanOrEqual(1);
    expect(proof.currencies.TCK.entries_checked).toBeGreaterThan(0);
  });
});

describe('a transfer to another account', () => {
  const give = (body: Record<string, unknown>, headers: Record<string, string> = {}) =>
    world.call('POST', '/v1/credits/transfer', { key: agent.key, body, headers });

  test('is with them at once, and both histories say so', async () => {
    const other = await world.register();
    await admin({ amount_cents: 500 });
    const { status, body } = await give({
      to_address: other.accountId,
      amount_cents: 120,
      note: 'For the translation',
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ to_address: other.accountId, amount_cents: 120, balance_cents: 380 });
    expect((await history())[0]).toMatchObject({ id: body.id, type: 'transfer_out', amount_cents: -120 });
    const theirs = await world.call('GET', '/v1/credits/history', { key: other.key });
    expect(theirs.body.transactions).toEqual([
      expect.objectContaining({ id: body.id, type: 'transfer_in', amount_cents: 120, balance_after_cents: 120 }),
    ]);
    expect(theirs.body.transactions[0].description).toBe('For the translation');
  });

  test('is made once under one key, and at most what there is is given away', async () => {
    const other = await world.register();
    await admin({ amount_cents: 100 });
    const same = () => give({ to_address: other.accountId, amount_cents: 60 }, { 'idempotency-key': 'gift-1' });
    const replies = [await same(), await same()];
    expect(replies[1]).toMatchObject({ status: 200, body: replies[0]?.body });
    const rest = await Promise.all(
      Array.from({ length: 5 }, () => give({ to_address: other.accountId, amount_cents: 15 })),
    );
    expect(statusesOf(rest).toSorted((one, two) => one - two)).toEqual([200, 200, 402, 402, 402]);
    expect(await balance()).toBe(10);
  });

  test('is not for a key with scopes', async () => {
    const other = await world.register();
    await admin({ amount_cents: 100 });
    const made = await world.call('POST', '/v1/keys', { key: agent.key, body: { name: 'clerk', scopes: ['write'] } });
    const body = { to_address: other.accountId, amount_cents: 10 };
    const reply = await world.call('POST', '/v1/credits/transfer', { key: made.body.key, body });
    expect(reply.status).toBe(403);
    expect(await balance()).toBe(100);
  });

  test('goes to no one that there is not, and not to oneself', async () => {
    await admin({ amount_cents: 100 });
    const nobody = await give({ to_address: '550e8400-e29b-41d4-a716-446655440000', amount_cents: 10 });
    expect(nobody).toMatchObject({ status: 404, body: { error: 'Account not found' } });
    expect((await give({ to_address: agent.accountId, amount_cents: 10 })).status).toBe(400);
    for (const amount of [0, -5, 1.5, 100_000_001])
      expect((await give({ to_address: agent.accountId, amount_cents: amount })).status).toBe(400);
    expect(await balance()).toBe(100);
  });
});
