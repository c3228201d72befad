import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DAY, MINUTE } from '../../src/kernel/time.ts';
import { systemOp } from '../harness/op.ts';
import { startApis, statusesOf, type Agent, type TestApis } from '../harness/apis.ts';

const PASSWORD = 'correct horse battery';
const LOCATION = /^https:\/\/freehold\.test\/claim#([A-Za-z0-9_-]{43})$/;

let world: TestApis;
let agent: Agent;
let people = 0;
beforeAll(async () => void (world = await startApis()));
beforeEach(async () => void (agent = await world.register()));
afterAll(() => world.close());

const newEmail = () => `person${++people}@example.com`;
const link = (headers: Record<string, string> = {}) =>
  world.call('POST', '/v1/account/claim-link', { key: agent.key, headers });
const tokenOf = (reply: { body: { claim_url: string } }) =>
  LOCATION.exec(reply.body.claim_url)?.[1] ?? 'no token in the link';
const claim = (body: Record<string, unknown>, headers: Record<string, string> = {}) =>
  world.call('POST', '/v1/account/claim', { body: { email: newEmail(), password: PASSWORD, ...body }, headers });
const account = async () => (await world.call('GET', '/v1/account', { key: agent.key })).body;
const opens = (email: string, password: string) => world.identity.verifyPassword(systemOp(), { email, password });

describe('claiming an account', () => {
  test('takes a link whose token stays out of every request line', async () => {
    const { status, body } = await link();
    expect(status).toBe(201);
    expect(body.claim_url).toMatch(LOCATION);
    const { pathname, search } = new URL(body.claim_url);
    expect(pathname + search).toBe('/claim');
    expect(Math.abs(Date.parse(body.expires_at) - world.clock.now().getTime() - DAY)).toBeLessThan(MINUTE);
  });

  test('gives the account a person’s e-mail address and password, and its keys keep working', async () => {
    expect(await account()).toMatchObject({ claimed: false, claimed_at: null });
    const email = newEmail();
    const claimed = await claim({ token: tokenOf(await link()), email: email.toUpperCase() });
    expect(claimed).toMatchObject({ status: 200, body: { account_id: agent.accountId, email, claimed: true } });
    expect(await account()).toMatchObject({
      account_id: agent.accountId,
      claimed: true,
      claimed_at: expect.stringMatching(/Z$/),
    });
    expect(await opens(email, PASSWORD)).toBe(agent.accountId);
    expect(await opens(email, `${PASSWORD}!`)).toBeUndefined();
    expect(await opens('nobody@example.com', PASSWORD)).toBeUndefined();
  });

  test('keeps the password as an argon2id hash only', async () => {
    const email = newEmail();
    await claim({ token: tokenOf(await link()), email });
    const rows = await world.db.query<{ secret: string }>(`select secret from identities where subject = $1`, [email]);
    expect(rows).toEqual([{ secret: expect.stringMatching(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/) }]);
  });

  test('works once: the second claim is a conflict, and so is another link', async () => {
    const token = tokenOf(await link());
    expect((await claim({ token })).status).toBe(200);
    expect(await claim({ token })).toMatchObject({
      status: 409,
      body: { error: 'This account has already been claimed' },
    });
    expect((await link()).status).toBe(409);
  });

  test('of several people at once exactly one gets the account', async () => {
    const token = tokenOf(await link());
    const replies = await Promise.all(Array.from({ length: 5 }, () => claim({ token })));
    expect(statusesOf(replies)).toEqual([200, 409, 409, 409, 409]);
  });

  test('with an e-mail address that has an account is a conflict and leaves the link usable', async () => {
    const email = newEmail();
    await claim({ token: tokenOf(await link()), email });
    agent = await world.register();
    const token = tokenOf(await link());
    expect(await claim({ token, email })).toMatchObject({
      status: 409,
      body: { error: 'This e-mail address already belongs to an account' },
    });
    expect((await claim({ token })).status).toBe(200);
  });

  test('two accounts at once with one address: exactly one gets it', async () => {
    const tokens = [tokenOf(await link())];
    agent = await world.register();
    tokens.push(tokenOf(await link()));
    const email = newEmail();
    const replies = await Promise.all(tokens.map((token) => claim({ token, email })));
    expect(statusesOf(replies)).toEqual([200, 409]);
  });

  test('ends with the day, and an earlier link ends with a later one', async () => {
    const earlier = tokenOf(await link());
    const later = tokenOf(await link());
    expect((await claim({ token: earlier })).status).toBe(404);
    world.clock.advance(DAY);
    expect((await claim({ token: later })).status).toBe(404);
    expect((await claim({ token: 'nonsense' })).status).toBe(404);
  });

  test.each([
    ['a short password', { password: '1234567' }, 'password must be at least 8 characters'],
    ['an endless password', { password: 'x'.repeat(257) }, 'password must be at most 256 characters'],
    ['an address that is none', { email: 'ada at example' }, 'email must be an e-mail address'],
    ['no token', { token: undefined }, 'token is required and must be a string'],
  ])('with %s is malformed', async (_what, change, error) => {
    expect(await claim({ token: 'x', ...change })).toMatchObject({ status: 400, body: { error } });
  });

  test('repeated under its Idempotency-Key answers the same, also after a crash', async () => {
    const first = await link({ 'idempotency-key': 'link' });
    expect((await link({ 'idempotency-key': 'link' })).body).toEqual(first.body);
    const [body, headers] = [{ token: tokenOf(first), email: newEmail() }, { 'idempotency-key': 'claim' }];
    const claimed = await claim(body, headers);
    expect(claimed.status).toBe(200);
    expect(await claim(body, headers)).toMatchObject({ status: 200, body: claimed.body });
    await world.db.query('delete from idempotency_records');
    expect(await claim(body, headers)).toMatchObject({ status: 200, body: claimed.body });
    await world.db.query('delete from idempotency_records');
    expect((await claim({ ...body, password: 'of somebody else' }, headers)).status).toBe(409);
  });

  test('needs no credential, making the link needs a key', async () => {
    expect((await world.call('POST', '/v1/account/claim-link')).status).toBe(401);
  });
});
