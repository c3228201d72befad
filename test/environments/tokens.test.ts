import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { DAY, HOUR, MINUTE } from '../../src/kernel/time.ts';
import { startFakeGithub, type GithubPerson } from '../fakes/github.ts';
import { startApis, type Reply } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';

const github = await startFakeGithub();
const world = await startApis({ github: github.app() });
afterAll(async () => {
  await world.close();
  await github.close();
});

let lastId = 1_000;
let ada: GithubPerson;
beforeEach(() => void (ada = { id: ++lastId, login: `ada${lastId}` }));

const post = (path: string, body: unknown): Promise<Reply> => world.call('POST', path, { body });
const logIn = (): Promise<Reply> => post('/auth/github', { code: github.codeFor(ada) });
const me = (key: string): Promise<Reply> => world.call('GET', '/users/me', { key });
const factsOf = async (accountId: string): Promise<string[]> =>
  (
    await world.db.query<{ type: string }>('select type from facts where account_id = $1 order by seq', [accountId])
  ).map(({ type }) => type);

describe('an access token', () => {
  test('opens every contract for its account, in every way in which a credential is sent', async () => {
    const { body } = await logIn();
    const token = body.access_token;
    const ways: Record<string, string>[] = [
      { authorization: `Bearer ${token}` },
      { authorization: `bearer ${token}` },
      { authorization: token },
      { 'x-api-key': token },
    ];
    for (const headers of ways)
      expect((await world.call('GET', '/users/me', { headers })).body.user_id).toBe(body.user_id);
    expect((await world.call('GET', '/v1/account', { key: token })).body).toMatchObject({
      account_id: body.user_id,
      kind: 'person',
    });
    expect((await world.call('GET', '/v1/admin/machines', { key: token })).status).toBe(401);
  });

  test('holds for a quarter of an hour; the refresh token, for thirty days, makes new ones', async () => {
    const { body } = await logIn();
    world.clock.advance(15 * MINUTE);
    expect((await me(body.access_token)).body).toEqual({ detail: 'The access token is invalid or has expired' });
    for (let days = 0; days < 30; days += 10) {
      const refreshed = await post('/auth/refresh', { refresh_token: body.refresh_token });
      expect(refreshed).toMatchObject({ status: 200, body: { token_type: 'Bearer', expires_in: 900 } });
      expect(Object.keys(refreshed.body)).toEqual(['access_token', 'token_type', 'expires_in']);
      expect((await me(refreshed.body.access_token)).body.user_id).toBe(body.user_id);
      world.clock.advance(10 * DAY);
    }
    expect((await post('/auth/refresh', { refresh_token: body.refresh_token })).status).toBe(401);
  });

  test('and a refresh token cannot stand for each other', async () => {
    const { body } = await logIn();
    expect((await me(body.refresh_token)).status).toBe(401);
    expect((await post('/auth/refresh', { refresh_token: body.access_token })).status).toBe(401);
    expect((await post('/auth/revoke', { refresh_token: body.access_token })).status).toBe(200);
    expect((await me(body.access_token)).status).toBe(200);
  });

  test.each([
    ['with no algorithm', (token: string) => `${part({ alg: 'none', typ: 'at+jwt' })}.${token.split('.')[1]}.`],
    ['with another payload', (token: string) => token.replace(/\.[\w-]+\./, `.${part({ sub: 'root', exp: 9e9 })}.`)],
    ['without its signature', (token: string) => token.replace(/\.[\w-]+$/, '.AAAA')],
  ])('that is forged %s is refused', async (_what, forge) => {
    const { body } = await logIn();
    const reply = await me(forge(body.access_token));
    expect(reply.status).toBe(401);
    expect(reply.headers.get('www-authenticate')).toBe('Bearer');
  });

  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

  test('and its refresh token open nothing from the moment the login is ended, and others go on', async () => {
    const [ended, other] = [(await logIn()).body, (await logIn()).body];
    const refreshed = (await post('/auth/refresh', { refresh_token: ended.refresh_token })).body.access_token;
    for (let n = 0; n < 2; n++)
      expect((await post('/auth/revoke', { refresh_token: ended.refresh_token })).body).toEqual({
        message: 'The login has ended',
      });
    expect((await me(ended.access_token)).status).toBe(401);
    expect((await me(refreshed)).status).toBe(401);
    expect((await post('/auth/refresh', { refresh_token: ended.refresh_token })).status).toBe(401);
    expect((await me(other.access_token)).status).toBe(200);
    expect((await factsOf(ended.user_id)).filter((type) => type === 'login.ended')).toHaveLength(1);
    expect((await post('/auth/revoke', { refresh_token: 'nonsense' })).status).toBe(200);
  });

  test('has a last login that each login moves, and a refresh does not', async () => {
    const { body } = await logIn();
    const last = async (token: string) => Date.parse((await me(token)).body.last_login_at);
    const first = await last(body.access_token);
    world.clock.advance(HOUR);
    const refreshed = await post('/auth/refresh', { refresh_token: body.refresh_token });
    expect(await last(refreshed.body.access_token)).toBe(first);
    expect((await last((await logIn()).body.access_token)) - first).toBeGreaterThanOrEqual(HOUR);
  });

  test('that repeats a request under its Idempotency-Key may be a newer one of the same login, and no other', async () => {
    const { body } = await logIn();
    const make = async (key: string) =>
      world.call('POST', '/users/me/api-keys', { key, body: {}, headers: { 'idempotency-key': `key-${ada.id}` } });
    const first = await make(body.access_token);
    world.clock.advance(2_000);
    const refreshed = await post('/auth/refresh', { refresh_token: body.refresh_token });
    expect(refreshed.body.access_token).not.toBe(body.access_token);
    expect((await make(refreshed.body.access_token)).body).toEqual(first.body);
    expect((await make((await logIn()).body.access_token)).status).toBe(409);
  });
});

test('what has expired is forgotten, and not before', async () => {
  const count = async () => (await world.db.query('select 1 from logins')).length;
  await logIn();
  await world.identity.forgetExpired(systemOp(world.clock.now()));
  expect(await count()).toBeGreaterThan(0);
  await world.identity.forgetExpired(systemOp(new Date(world.clock.now().getTime() + 31 * DAY)));
  expect(await count()).toBe(0);
});
