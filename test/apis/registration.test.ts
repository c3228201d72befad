import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { solveChallenge } from '../../src/cli/solve-challenge.ts';
import { HOUR, SECOND } from '../../src/kernel/time.ts';
import { noRequestLimits, requestLimits } from '../../src/platform/limits.ts';
import { solve, startApis, statusesOf, type TestApis } from '../harness/apis.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const WRONG = { math: '1', string: 'wrong', count: '999', sort: '0', binary: 'WRONG' } as Record<string, string>;

describe('registration', () => {
  let world: TestApis;
  beforeAll(async () => void (world = await startApis()));
  afterAll(() => world.close());
  const register = (body: Record<string, unknown>, headers: Record<string, string> = {}) =>
    world.call('POST', '/v1/auth/register', { body: { name: 'my-agent', ...body }, headers });
  const accounts = async () => (await world.db.query('select 1 from accounts')).length;

  test('gives a challenge in the form of the sheet, not to be kept by anyone', async () => {
    const { status, body, headers } = await world.call('GET', '/v1/auth/challenge');
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(Object.keys(body.challenge)).toEqual(['type', 'icon', 'title', 'description', 'prompt', 'timeLimit', 'id']);
    expect(body.challenge).toMatchObject({ timeLimit: 30, id: expect.stringMatching(/^[0-9a-f]{32}$/) });
    expect(body.token).toMatch(/^[A-Za-z0-9+/]+=*\.[A-Za-z0-9+/]{43}=$/);
  });

  test('opens an account for the right answer, with a key that works at once and a balance of nothing', async () => {
    const { status, body } = await register(await solve(world.call));
    expect(status).toBe(201);
    expect(body).toEqual({
      account_id: expect.stringMatching(UUID),
      api_key: expect.stringMatching(/^bod_live_[0-9a-f]{32}$/),
      key_id: expect.stringMatching(UUID),
      key_prefix: body.api_key.slice(0, 17),
      balance_cents: 0,
      note: 'Save your API key — it cannot be retrieved again.',
    });
    const account = await world.call('GET', '/v1/account', { key: body.api_key });
    expect(account.body).toMatchObject({
      account_id: body.account_id,
      name: 'my-agent',
      kind: 'agent',
      claimed: false,
      key_count: 1,
    });
  });

  test('gives every agent what the operator has set, once, with a row in its history', async () => {
    const generous = await startApis({ over: world, agentBonusCents: 250 });
    const attempt = {
      body: { ...(await solve(generous.call)), name: 'my-agent' },
      headers: { 'idempotency-key': 'once' },
    };
    const { body } = await generous.call('POST', '/v1/auth/register', attempt);
    expect(body).toMatchObject({ balance_cents: 250 });
    expect((await generous.call('POST', '/v1/auth/register', attempt)).body).toEqual(body);
    const { body: history } = await generous.call('GET', '/v1/credits/history', { key: body.api_key });
    expect(history.transactions).toMatchObject([{ type: 'deposit', amount_cents: 250, balance_after_cents: 250 }]);
    expect((await world.ledger.reconcile(world.db)).USD.discrepancies).toEqual([]);
    await generous.close();
  });

  test('takes a solved token once', async () => {
    const solved = await solve(world.call);
    expect((await register(solved)).status).toBe(201);
    expect(await register(solved)).toMatchObject({
      status: 401,
      body: { error: 'The challenge was already answered' },
    });
  });

  test('of many at once with one token exactly one gets an account', async () => {
    const before = await accounts();
    const solved = await solve(world.call);
    const replies = await Promise.all(Array.from({ length: 12 }, () => register(solved)));
    expect(statusesOf(replies)).toEqual([201, ...Array.from({ length: 11 }, () => 401)]);
    expect(await accounts()).toBe(before + 1);
  });

  test('a wrong answer uses the challenge up: the right one comes too late', async () => {
    const { body } = await world.call('GET', '/v1/auth/challenge');
    const wrong = await register({ token: body.token, answer: WRONG[body.challenge.type] });
    expect(wrong).toMatchObject({ status: 401, body: { error: 'Wrong answer' } });
    expect((await register({ token: body.token, answer: solveChallenge(body.challenge) })).status).toBe(401);
  });

  test('an answer is in time for thirty seconds and not after', async () => {
    const early = await solve(world.call);
    world.clock.advance(25 * SECOND);
    expect((await register(early)).status).toBe(201);
    const late = await solve(world.call);
    world.clock.advance(30 * SECOND);
    expect(await register(late)).toMatchObject({ status: 401, body: { error: 'The challenge has expired' } });
  });

  test('a token with a later expiry written into it is forged', async () => {
    const { token, answer } = await solve(world.call);
    const [payload = '', signature] = token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64').toString());
    const forged = Buffer.from(JSON.stringify({ ...claims, exp: claims.exp + HOUR })).toString('base64');
    expect((await register({ token: `${forged}.${signature}`, answer })).status).toBe(401);
    expect((await register({ token, answer })).status).toBe(201);
  });

  test.each([
    ['no answer', { answer: undefined }, 'answer is required and must be a string'],
    ['no token', { token: undefined }, 'token is required and must be a string'],
    ['no name', { name: undefined }, 'name is required and must be a string'],
    ['a token that is none', { token: 'nonsense' }, 'token is not a challenge token'],
    ['a name of one letter', { name: 'a' }, 'name must be at least 2 characters'],
    ['a name of 65 letters', { name: 'a'.repeat(65) }, 'name must be at most 64 characters'],
    ['a name with other characters', { name: 'rm -rf /' }, 'name must consist of letters, digits, spaces and hyphens'],
    ['a name of spaces', { name: '   ' }, 'name must consist of letters, digits, spaces and hyphens'],
  ])('with %s is malformed and does not use the challenge up', async (_what, change, error) => {
    const solved = await solve(world.call);
    expect(await register({ ...solved, ...change })).toMatchObject({ status: 400, body: { error } });
    expect((await register(solved)).status).toBe(201);
  });

  test('the same request under one Idempotency-Key answers the same account and key', async () => {
    const solved = await solve(world.call);
    const named = { 'idempotency-key': 'my-registration' };
    const first = await register(solved, named);
    expect(first.status).toBe(201);
    expect(await register(solved, named)).toMatchObject({ status: 201, body: first.body });
  });

  test('carried out again after a crash under its Idempotency-Key it finds its account and its key, also when the challenge has expired', async () => {
    const solved = await solve(world.call);
    const named = { 'idempotency-key': 'crashed-registration' };
    const first = await register(solved, named);
    await world.db.query(`delete from idempotency_records where key = 'crashed-registration'`);
    world.clock.advance(HOUR);
    const before = await accounts();
    expect(await register(solved, named)).toMatchObject({ status: 201, body: first.body });
    expect(await accounts()).toBe(before);
  });
});

describe('registration from one address', () => {
  let world: TestApis;
  beforeAll(async () => void (world = await startApis({ limits: requestLimits })));
  afterAll(() => world.close());
  beforeEach(() => world.db.query('delete from request_windows'));
  const register = async (body?: Record<string, unknown>) =>
    world.call('POST', '/v1/auth/register', { body: { name: 'my-agent', ...(await solve(world.call)), ...body } });

  test('succeeds three times an hour; the fourth is told when to come back, and can', async () => {
    for (let n = 0; n < 3; n++) expect((await register()).status).toBe(201);
    const fourth = await register();
    expect(fourth).toMatchObject({ status: 429, body: { error: 'Rate limit exceeded' } });
    const wait = Number(fourth.headers.get('retry-after'));
    expect(wait).toBeGreaterThan(3_500);
    expect(wait).toBeLessThanOrEqual(3_600);
    world.clock.advance(wait * SECOND);
    expect((await register()).status).toBe(201);
  });

  test('succeeds three times also when many come at once', async () => {
    const solved = await Promise.all(Array.from({ length: 10 }, () => solve(world.call)));
    const replies = await Promise.all(solved.map((one) => register(one)));
    const statuses = statusesOf(replies);
    expect(statuses).toEqual([201, 201, 201, 429, 429, 429, 429, 429, 429, 429]);
  });

  test('does not count what failed', async () => {
    for (let n = 0; n < 5; n++) expect((await register({ answer: 'wrong' })).status).toBe(401);
    for (let n = 0; n < 3; n++) expect((await register()).status).toBe(201);
  });

  test('is not limited where the operator has lifted the limits', async () => {
    const open = await startApis({ limits: noRequestLimits });
    try {
      for (let n = 0; n < 5; n++)
        expect(await open.register()).toMatchObject({ key: expect.stringMatching(/^bod_live_/) });
    } finally {
      await open.close();
    }
  });
});
