import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { wallet } from '../../src/domains/ledger/index.ts';
import type { AccountId } from '../../src/kernel/ids.ts';
import { MINUTE } from '../../src/kernel/time.ts';
import { startFakeGithub, type GithubPerson, type Trouble } from '../fakes/github.ts';
import { startApis, statusesOf, type Reply, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';

const github = await startFakeGithub();
const world = await startApis({ github: github.app() });
const unset = await startApis({ over: world });
afterAll(async () => {
  await unset.close();
  await world.close();
  await github.close();
});

let lastId = 1_000;
let ada: GithubPerson;
beforeEach(() => {
  github.trouble.clear();
  const id = ++lastId;
  ada = {
    id,
    login: `ada${id}`,
    name: 'Ada Lovelace',
    emails: [
      { email: 'old@example.com', primary: false, verified: true, visibility: null },
      { email: `Ada${id}@Example.com`, primary: true, verified: true, visibility: 'private' },
    ],
  };
});

const post = (
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
  at: TestApis = world,
): Promise<Reply> => at.call('POST', path, { body, headers });
const logIn = (person = ada): Promise<Reply> => post('/auth/github', { code: github.codeFor(person) });
const me = (key: string): Promise<Reply> => world.call('GET', '/users/me', { key });
const accountsCount = async (): Promise<number> => (await world.db.query('select 1 from accounts')).length;
const factsOf = async (accountId: string): Promise<string[]> =>
  (
    await world.db.query<{ type: string }>('select type from facts where account_id = $1 order by seq', [accountId])
  ).map(({ type }) => type);

describe('a first login', () => {
  test('opens an account with its wallet and tells who it is', async () => {
    const { status, body } = await logIn();
    expect([status, body]).toEqual([
      200,
      {
        user_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        access_token: expect.stringMatching(/^ey[\w-]+\.[\w-]+\.[\w-]+$/),
        refresh_token: expect.stringMatching(/^ey[\w-]+\.[\w-]+\.[\w-]+$/),
        token_type: 'Bearer',
        expires_in: 900,
        is_new_user: true,
      },
    ]);
    expect(await world.ledger.balance(world.db, wallet(body.user_id as AccountId, 'USD'))).toMatchObject({
      available: 0n,
    });
    expect((await me(body.access_token)).body).toEqual({
      user_id: body.user_id,
      name: 'Ada Lovelace',
      email: `ada${ada.id}@example.com`,
      github_id: String(ada.id),
      created_at: expect.stringMatching(/Z$/),
      last_login_at: expect.stringMatching(/Z$/),
      is_active: true,
    });
    expect(await factsOf(body.user_id)).toEqual(['account.opened', 'login.opened']);
  });

  test('asks GitHub as its documentation wants it', async () => {
    github.requests.length = 0;
    await logIn();
    expect(github.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'POST /login/oauth/access_token',
      'GET /api/v3/user',
      'GET /api/v3/user/emails',
    ]);
    const [exchange, ...asked] = github.requests.map(({ headers }) => headers);
    expect(exchange).toMatchObject({ accept: 'application/json', 'user-agent': 'freehold' });
    for (const headers of asked)
      expect(headers).toMatchObject({
        accept: 'application/vnd.github+json',
        authorization: expect.stringMatching(/^Bearer gho_/),
        'user-agent': 'freehold',
        'x-github-api-version': '2022-11-28',
      });
  });

  test.each<[string, Partial<GithubPerson>, { name?: string; email?: string | RegExp }]>([
    ['has no name', { name: null }, { name: 'login-of-ada' }],
    ['has a name of spaces and controls', { name: ' \u0000\u200b\n ' }, { name: 'login-of-ada' }],
    ['has a very long name', { name: '🙂'.repeat(300) }, { name: '🙂'.repeat(64) }],
    ['shows no address', { scopes: ['read:user'] }, { email: '7007007+login-of-ada@users.noreply.github.com' }],
    ['shows an address on the profile', { scopes: [], email: 'Pub@example.com' }, { email: 'pub@example.com' }],
    [
      'has only an address that is not verified',
      { emails: [{ email: 'x@example.com', primary: true, verified: false, visibility: null }] },
      { email: '7007007+login-of-ada@users.noreply.github.com' },
    ],
  ])('of a person who %s', async (_what, person, shown) => {
    const { body } = await logIn({ ...ada, id: 7_007_007, login: 'login-of-ada', ...person });
    if (shown.email) expect((await me(body.access_token)).body.email).toBe(shown.email);
    if (shown.name) {
      const fresh = await logIn({ ...ada, login: 'login-of-ada', ...person });
      expect((await me(fresh.body.access_token)).body.name).toBe(shown.name);
    }
  });

  test('gives no account away to who shows the same e-mail address at GitHub', async () => {
    const agent = await world.register('claimed');
    const link = await world.call('POST', '/v1/account/claim-link', { key: agent.key });
    const token = link.body.claim_url.split('#')[1];
    const email = `ada${ada.id}@example.com`;
    await post('/v1/account/claim', { token, email, password: 'correct horse battery' });
    const { body } = await logIn();
    expect(body.is_new_user).toBe(true);
    expect(body.user_id).not.toBe(agent.accountId);
    expect((await me(agent.key)).body).toMatchObject({ email, github_id: null });
  });
});

describe('a later login', () => {
  test('finds the account by its id at GitHub, whatever else has changed there', async () => {
    const first = await logIn();
    const renamed = {
      ...ada,
      login: 'countess',
      emails: [{ email: 'new@example.com', primary: true, verified: true, visibility: null }],
    };
    const second = await logIn(renamed);
    expect(second.body).toMatchObject({ user_id: first.body.user_id, is_new_user: false });
    expect((await me(second.body.access_token)).body.email).toBe('new@example.com');
    expect((await me(first.body.access_token)).status).toBe(200);
  });

  test('two of one new person at once make one account, and one of them opened it', async () => {
    const before = await accountsCount();
    const other = await startApis({ over: world, github: github.app() });
    const at = (api: TestApis) => post('/auth/github', { code: github.codeFor(ada) }, {}, api);
    const replies = await Promise.all([at(world), at(other), at(world), at(other), at(world), at(other)]);
    await other.close();
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(new Set(replies.map(({ body }) => body.user_id)).size).toBe(1);
    expect(replies.filter(({ body }) => body.is_new_user)).toHaveLength(1);
    expect(await accountsCount()).toBe(before + 1);
    expect((await factsOf(replies[0]?.body.user_id)).filter((type) => type === 'account.opened')).toHaveLength(1);
  });

  test('repeated under its Idempotency-Key answers the same and asks GitHub no more', async () => {
    const body = { code: github.codeFor(ada) };
    const first = await post('/auth/github', body, { 'idempotency-key': `login-${ada.id}` });
    github.requests.length = 0;
    const again = await post('/auth/github', body, { 'idempotency-key': `login-${ada.id}` });
    expect(again.body).toEqual(first.body);
    expect(github.requests).toEqual([]);
  });

  test('whose client has gone away is there for a repetition all the same', async () => {
    const code = github.codeFor(ada);
    const headers = { 'content-type': 'application/json', 'idempotency-key': `gone-${ada.id}` };
    const body = JSON.stringify({ code });
    const before = github.requests.length;
    const gone = new AbortController();
    const first = fetch(`${world.origin}/auth/github`, { method: 'POST', headers, body, signal: gone.signal });
    await expect.poll(() => github.requests.length, { interval: 1 }).toBeGreaterThan(before);
    gone.abort();
    await expect(first).rejects.toThrow();
    const again = () => post('/auth/github', { code }, { 'idempotency-key': `gone-${ada.id}` });
    await expect.poll(async () => (await again()).status).toBe(200);
    expect((await again()).body.is_new_user).toBe(true);
  });

  test('whose reply was lost with the process is given again, although the code is used up', async () => {
    const op = { ...systemOp(), seed: Buffer.from(`seed of ${ada.id}`) };
    const request = { code: github.codeFor(ada) };
    const first = await world.identity.logInWithGithub(op, request);
    const again = await world.identity.logInWithGithub({ ...op, now: new Date(op.now.getTime() + 1_000) }, request);
    expect(again).toMatchObject({ accountId: first.accountId, isNew: true });
    expect(await factsOf(first.accountId)).toEqual(['account.opened', 'login.opened']);
  });

  test('beyond a hundred ends the oldest', async () => {
    const op = (n: number) => ({ ...systemOp(new Date(Date.now() + n)) });
    const first = await world.identity.logInWithGithub(op(0), { code: github.codeFor(ada) });
    for (let n = 1; n <= 99; n++) await world.identity.logInWithGithub(op(n), { code: github.codeFor(ada) });
    expect((await me(first.access.token)).status).toBe(200);
    const last = await world.identity.logInWithGithub(op(100), { code: github.codeFor(ada) });
    expect((await me(first.access.token)).status).toBe(401);
    expect((await me(last.access.token)).status).toBe(200);
  });
});

describe('a login is refused', () => {
  const noOneCame = async (reply: Reply, status: number, detail: unknown, before: number) => {
    expect([reply.status, reply.body]).toEqual([status, { detail }]);
    expect(await accountsCount()).toBe(before);
  };

  test('with a code that GitHub does not know, or that was used: 401', async () => {
    const before = await accountsCount();
    const says = 'GitHub does not accept this code: it is wrong, used or expired';
    await noOneCame(await post('/auth/github', { code: 'nonsense' }), 401, says, before);
    const code = github.codeFor(ada);
    await post('/auth/github', { code });
    await noOneCame(await post('/auth/github', { code }), 401, says, before + 1);
  });

  test('of a person without a verified address: 403', async () => {
    const reply = await logIn({ ...ada, refusal: 'unverified_user_email' });
    expect([reply.status, reply.body]).toEqual([403, { detail: 'Verify your e-mail address at GitHub first' }]);
  });

  test('while no OAuth app is set up: 503, after the request was looked at', async () => {
    const reply = await post('/auth/github', { code: 'x' }, {}, unset);
    expect([reply.status, reply.body]).toEqual([503, { detail: 'Login with GitHub is not set up on this server' }]);
    expect(reply.headers.get('retry-after')).toMatch(/^\d+$/);
    expect((await post('/auth/github', {}, {}, unset)).status).toBe(422);
    expect((await unset.call('GET', '/auth/github')).status).toBe(503);
  });

  test.each<[string, Parameters<typeof github.app>[0]]>([
    ['a secret', { clientSecret: 'another' }],
    ['an id', { clientId: 'another' }],
  ])('while the OAuth app is set up with %s that GitHub does not know: 503', async (_what, wrong) => {
    const wrongly = await startApis({ over: world, github: github.app(wrong) });
    const reply = await post('/auth/github', { code: github.codeFor(ada) }, {}, wrongly);
    await wrongly.close();
    expect([reply.status, reply.body]).toEqual([
      503,
      { detail: 'Login with GitHub is not set up rightly on this server' },
    ]);
  });

  const TOKEN = '/login/oauth/access_token';
  const troubles: [string, string, Trouble][] = [
    ['never answers', TOKEN, 'silence'],
    ['hangs up', TOKEN, 'hangup'],
    ['has a bad day', TOKEN, { status: 502, body: '<html>Unicorn!</html>' }],
    ['says no JSON', TOKEN, { status: 200, body: '<html></html>' }],
    ['says something else', TOKEN, { status: 200, body: '{"token":"x"}' }],
    ['answers a form', TOKEN, { status: 200, body: 'access_token=gho_x&token_type=bearer' }],
    ['leads elsewhere', TOKEN, { status: 302, body: '', headers: { location: 'http://127.0.0.1:1/' } }],
    ['says without end', TOKEN, { status: 200, body: `{"access_token":"${'x'.repeat(200_000)}"}` }],
    ['forgets its own token', '/api/v3/user', { status: 401, body: '{"message":"Bad credentials"}' }],
    ['limits us', '/api/v3/user', { status: 403, body: '{"message":"API rate limit exceeded"}' }],
    ['shows nobody', '/api/v3/user', { status: 200, body: '{"id":0,"login":""}' }],
    ['shows an id that is no number', '/api/v3/user', { status: 200, body: '{"id":"1; drop","login":"x"}' }],
    ['never shows the addresses', '/api/v3/user/emails', 'silence'],
    ['breaks off over the addresses', '/api/v3/user/emails', { status: 500, body: '' }],
  ];
  test.each(troubles)('while GitHub %s: 503, and nothing has changed', async (_what, path, trouble) => {
    const before = await accountsCount();
    github.trouble.set(path, trouble);
    const reply = await logIn();
    await noOneCame(reply, 503, 'GitHub does not answer — try again', before);
    expect(reply.headers.get('retry-after')).toBe('10');
  });
});

describe('a login that begins here', () => {
  const begin = async () => (await world.call('GET', '/api/v1/auth/github')).body;

  test('leads to GitHub and back with a state that holds once', async () => {
    const start = await begin();
    expect(start).toEqual({
      authorization_url: expect.stringContaining(github.url),
      state: expect.any(String),
      expires_in: 600,
    });
    const { code, state } = github.authorize(start.authorization_url, ada);
    expect(state).toBe(start.state);
    const reply = await post('/auth/github', { code, state });
    expect(reply.status).toBe(200);
    // Only what was asked for is granted, and it was enough for the address.
    expect((await me(reply.body.access_token)).body.email).toBe(`ada${ada.id}@example.com`);
    const replayed = await post('/auth/github', { code: github.codeFor(ada), state });
    expect([replayed.status, replayed.body.detail]).toEqual([401, expect.stringMatching(/^The state/)]);
  });

  test('does not go on with a state that was changed, or comes too late', async () => {
    const { state } = await begin();
    const tampered = `${state.slice(0, -2)}${state.endsWith('AA') ? 'BB' : 'AA'}`;
    github.requests.length = 0;
    expect((await post('/auth/github', { code: github.codeFor(ada), state: tampered })).status).toBe(401);
    world.clock.advance(10 * MINUTE);
    expect((await post('/auth/github', { code: github.codeFor(ada), state })).status).toBe(401);
    // The code was not wasted on it.
    expect(github.requests).toEqual([]);
  });

  test('goes on once where two come back with its state at once', async () => {
    const { state } = await begin();
    const replies = await Promise.all([1, 2, 3].map(() => post('/auth/github', { code: github.codeFor(ada), state })));
    expect(statusesOf(replies)).toEqual([200, 401, 401]);
  });

  test('takes no other token of ours for its state', async () => {
    const { body } = await logIn();
    for (const state of [body.access_token, body.refresh_token])
      expect((await post('/auth/github', { code: github.codeFor(ada), state })).status).toBe(401);
  });

  test.each([undefined, null, '', 'a value that the client compares itself'])(
    'elsewhere may have %j as its state',
    async (state) => {
      expect((await post('/auth/github', { code: github.codeFor(ada), state })).status).toBe(200);
    },
  );
});
