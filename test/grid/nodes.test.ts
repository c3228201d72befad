import { afterAll, describe, expect, test } from 'vitest';
import { DAY, MINUTE, SECOND } from '../../src/kernel/time.ts';
import { startApis, statusesOf, ADMIN_KEY } from '../harness/apis.ts';
import { accountOf } from './money.ts';
import { nodeWith, publish, registerNode, solutionOf } from './node.ts';
import { sandboxNode } from './trades.ts';

const world = await startApis();
afterAll(() => world.close());

const begin = async (name: string, more: Record<string, unknown> = {}) =>
  world.call('POST', '/v1/node/register', { body: { node_id: name, ...more } });
const challengeOf = async (name: string) => (await begin(name)).body.verification_challenge;
const answer = (name: string, solution: number, more: Record<string, unknown> = {}) =>
  world.call('POST', '/v1/node/verify', { body: { node_id: name, solution, ...more } });
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

describe('registering a node', () => {
  test('with the sum of the primes gives its key, its session and 100 TCK', async () => {
    const challenge = await challengeOf('first-node');
    expect(challenge).toMatchObject({ type: 'PRIME_SUM_HASH', timeout_ms: 30_000, ts: expect.any(Number) });
    expect(challenge.payload.length).toBeGreaterThanOrEqual(6);
    expect(challenge.payload.length).toBeLessThanOrEqual(14);
    const { status, body } = await answer('first-node', solutionOf(challenge.payload) + 0.009);
    expect([status, body.status, body.unlocked_balance]).toEqual([200, 'NODE_ACTIVE', '100.00']);
    expect(body.api_key).toMatch(/^bn_first-node_[0-9a-f]{32}$/);
    const claims = claimsOf(body.session_token);
    expect(claims).toMatchObject({ sub: 'first-node', role: 'node', iss: 'botnode-orchestrator', aud: 'botnode-grid' });
    expect(claims.exp - claims.iat).toBe(900);
  });

  test('with wrong answers ends after three of them', async () => {
    const { payload } = await challengeOf('guesser');
    const right = solutionOf(payload);
    for (let tries = 0; tries < 3; tries++)
      expect(await answer('guesser', right + 1)).toMatchObject({
        status: 400,
        body: { detail: 'Challenge failed: Incorrect solution' },
      });
    expect((await answer('guesser', right)).body.detail).toMatch(/^No pending challenge/);
  });

  test('with a wrong answer first and the right one then succeeds', async () => {
    const { payload } = await challengeOf('second-thought');
    await answer('second-thought', solutionOf(payload) + 1);
    expect((await answer('second-thought', solutionOf(payload))).status).toBe(200);
  });

  test('takes no answer after 30 seconds', async () => {
    const { payload } = await challengeOf('slow');
    world.clock.advance(31 * SECOND);
    expect((await answer('slow', solutionOf(payload))).body.detail).toBe('Challenge expired — register again');
    expect((await answer('slow', solutionOf(payload))).body.detail).toMatch(/^No pending challenge/);
  });

  test('again replaces the challenge', async () => {
    await challengeOf('twice');
    const { payload } = await challengeOf('twice');
    expect((await answer('twice', solutionOf(payload))).status).toBe(200);
    expect(await begin('twice')).toMatchObject({ status: 400, body: { detail: 'Node ID already registered' } });
  });

  test('with the right answer twice at once makes one node and mints once', async () => {
    const { payload } = await challengeOf('racer');
    const replies = await Promise.all([1, 2, 3].map(() => answer('racer', solutionOf(payload))));
    expect(statusesOf(replies)).toEqual([200, 400, 400]);
    const { body } = await world.call('GET', '/v1/admin/ledger/reconcile', { key: ADMIN_KEY });
    expect(body.valid).toBe(true);
  });

  test.each(['../../../etc', 'ab', 'x'.repeat(101), 'a b c', 'über-node'])('refuses the name %j', async (name) => {
    const { status, body } = await begin(name);
    expect([status, body.detail[0].field]).toEqual([422, 'node_id']);
  });

  test('with a credential of ours is for that account, which has one node', async () => {
    const agent = await world.register();
    const node = await registerNode(world, undefined, { as: agent.key });
    expect((await world.call('GET', '/v1/account', { key: node.key })).body.account_id).toBe(agent.accountId);
    // The account's other keys act as its node.
    expect((await world.call('GET', '/v1/node/me', { key: agent.key })).body.node_id).toBe(node.id);
    const again = await world.call('POST', '/v1/node/register', { key: agent.key, body: { node_id: 'one-too-many' } });
    expect(again.status).toBe(400);
    const wrong = await world.call('POST', '/v1/node/register', { key: 'nonsense', body: { node_id: 'one-too-many' } });
    expect(wrong.status).toBe(401);
  });

  test('with the key of a sandbox node is a node of its own, and the operator sees that somebody went on', async () => {
    const funnel = async () =>
      (await world.call('GET', '/v1/admin/analytics', { key: ADMIN_KEY })).body.funnel as Record<string, number>;
    const [player, other] = [await sandboxNode(world), await sandboxNode(world)];
    const before = await funnel();
    const node = await registerNode(world, undefined, { as: player.key });
    const accounts = await Promise.all([player, node].map(accountOf));
    expect(accounts[0]).not.toBe(accounts[1]);
    expect((await player.call('GET', '/v1/node/me')).body.node_id).toBe(player.id);
    expect((await node.call('GET', '/v1/node/me')).body).toMatchObject({ node_id: node.id, balance_tck: '100.00' });
    // Shown only with the answer, it is the same; twice from one it is still one.
    const begun = await begin('shown-late');
    const body = { node_id: 'shown-late', solution: solutionOf(begun.body.verification_challenge.payload) };
    expect((await world.call('POST', '/v1/node/verify', { key: other.key, body })).status).toBe(200);
    await registerNode(world, undefined, { as: player.key });
    const after = await funnel();
    expect(after['sandbox_to_register']).toBe((before['sandbox_to_register'] ?? 0) + 2);
    expect(after['conversion_sandbox_to_register']).toBeGreaterThan(0);
  });

  test('for an account is answered by nobody else, and with the first answer', async () => {
    const [owner, stranger] = [await world.register(), await world.register()];
    const register = async (node_id: string) => {
      const { body } = await world.call('POST', '/v1/node/register', { key: owner.key, body: { node_id } });
      return { node_id, solution: solutionOf(body.verification_challenge.payload) };
    };
    const guessed = await register('guessed');
    expect((await answer('guessed', guessed.solution + 1)).status).toBe(400);
    expect((await answer('guessed', guessed.solution)).body.detail).toMatch(/^No pending challenge/);
    const body = await register('guarded');
    const foreign = await world.call('POST', '/v1/node/verify', { key: stranger.key, body });
    expect(foreign).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining('registered for an account') },
    });
    const own = await world.call('POST', '/v1/node/verify', { key: owner.key, body });
    expect((await nodeWith(world, 'guarded', own.body).call('GET', '/v1/account')).body.account_id).toBe(
      owner.accountId,
    );
  });

  test.each([
    ['that is new', async () => undefined],
    ['that was there', async () => (await world.register()).key],
  ])('of an account %s is done once under an idempotency key, also where its reply was lost', async (what, owner) => {
    const key = await owner();
    const name = `once-${what.length}`;
    const begun = await world.call('POST', '/v1/node/register', { body: { node_id: name }, key });
    const send = () =>
      world.call('POST', '/v1/node/verify', {
        body: { node_id: name, solution: solutionOf(begun.body.verification_challenge.payload) },
        headers: { 'idempotency-key': name },
      });
    const first = await send();
    await world.db.query('delete from idempotency_records');
    const second = await send();
    expect([first.status, second.body.api_key]).toEqual([200, first.body.api_key]);
    expect((await nodeWith(world, name, second.body).call('GET', '/v1/node/me')).body.balance_tck).toBe('100.00');
  });
});

describe('early access', () => {
  test('gives a token that one node can be linked to', async () => {
    const early = await world.call('POST', '/v1/early-access', {
      body: { email: 'Me@Example.com', node_name: 'Mine' },
    });
    expect(early.body).toMatchObject({ status: 'pre_eligible', signup_token: expect.stringMatching(/^ea_/) });
    const signupToken = early.body.signup_token;
    const node = await registerNode(world, undefined, { signupToken });
    expect((await world.grid.nodes.get(node.id)).signupToken).toBe(signupToken);
    expect((await begin('other-node', { signup_token: signupToken })).body.detail).toMatch(/already linked/);
    expect((await begin('other-node', { signup_token: 'ea_none' })).body.detail).toMatch(/^Invalid signup_token/);
  });

  test('wants an e-mail address', async () => {
    expect((await world.call('POST', '/v1/early-access', { body: { email: 'not-one' } })).status).toBe(422);
  });
});

describe('a node’s credentials', () => {
  test('its key opens every contract, its session the grid', async () => {
    const node = await registerNode(world);
    expect((await world.call('GET', '/v1/account', { key: node.key })).status).toBe(200);
    expect((await world.call('GET', '/v1/node/me', { key: node.token })).body.node_id).toBe(node.id);
    expect((await world.call('GET', '/v1/node/me', { headers: { 'x-api-key': node.key } })).status).toBe(200);
  });

  test('a key that may only read looks and offers nothing', async () => {
    const node = await registerNode(world);
    const made = await world.call('POST', '/v1/keys', { key: node.key, body: { name: 'look', scopes: ['read'] } });
    const looking = nodeWith(world, node.id, { api_key: made.body.key });
    expect((await looking.call('GET', '/v1/node/me')).status).toBe(200);
    const body = { type: 'SKILL_OFFER', label: 'x', price_tck: 1, metadata: {} };
    expect((await looking.call('POST', '/v1/marketplace/publish', body)).status).toBe(403);
  });

  test('a key that may do only some things makes nothing that may do everything', async () => {
    const [owner, node] = [await world.register(), await registerNode(world)];
    const narrow = async (key: string, scope: string): Promise<string> =>
      (await world.call('POST', '/v1/keys', { key, body: { name: scope, scopes: [scope] } })).body.key;
    const looking = await narrow(owner.key, 'read');
    const body = { node_id: 'climber' };
    expect((await world.call('POST', '/v1/node/register', { key: looking, body })).status).toBe(403);
    const { payload } = (await world.call('POST', '/v1/node/register', { key: owner.key, body })).body
      .verification_challenge;
    const solved = { ...body, solution: solutionOf(payload) };
    expect((await world.call('POST', '/v1/node/verify', { key: looking, body: solved })).status).toBe(403);
    const writing = nodeWith(world, node.id, { api_key: await narrow(node.key, 'write') });
    expect((await writing.call('POST', '/v1/node/refresh')).status).toBe(403);
  });

  test('a session of an account that is suspended looks and offers nothing', async () => {
    const node = await registerNode(world);
    const { account_id: id } = (await world.call('GET', '/v1/account', { key: node.key })).body;
    const held = await world.call('PUT', `/v1/admin/accounts/${id}/hold`, { key: ADMIN_KEY, body: { reason: 'spam' } });
    expect(held.status).toBe(200);
    const body = { type: 'SKILL_OFFER', label: 'x', price_tck: 1, metadata: {} };
    const offered = await world.call('POST', '/v1/marketplace/publish', { key: node.token, body });
    expect([offered.status, offered.body.detail]).toEqual([403, 'This account is suspended.']);
    expect((await world.call('GET', '/v1/node/me', { key: node.token })).status).toBe(200);
  });

  test('a session ends after 15 minutes, and the key gets a new one', async () => {
    const node = await registerNode(world);
    world.clock.advance(16 * MINUTE);
    const old = await world.call('GET', '/v1/node/me', { key: node.token });
    expect([old.status, old.body.detail]).toEqual([401, expect.stringContaining('Invalid token')]);
    const { body } = await node.call('POST', '/v1/node/refresh');
    expect((await world.call('GET', '/v1/node/me', { key: body.session_token })).status).toBe(200);
    const byToken = await world.call('POST', '/v1/node/refresh', { key: body.session_token });
    expect([byToken.status, byToken.body.detail]).toEqual([401, 'Invalid API Key format']);
  });

  test('whose account has no node hears that before anything of what it sent', async () => {
    const person = await world.register();
    const reply = await world.call('POST', '/v1/marketplace/publish', { key: person.key, body: { label: 7 } });
    expect([reply.status, reply.body.detail]).toEqual([401, 'Node not found or banned']);
  });

  test('a token is checked with the published key', async () => {
    const { body } = await world.call('GET', '/.well-known/jwks.json');
    expect(body.keys).toEqual([expect.objectContaining({ kty: 'RSA', alg: 'RS256', use: 'sig' })]);
    const node = await registerNode(world);
    const header = JSON.parse(Buffer.from(node.token.split('.')[0] ?? '', 'base64url').toString());
    expect(header).toMatchObject({ alg: 'RS256', kid: body.keys[0].kid });
  });

  test.each([
    ['nonsense', 'Invalid API Key format'],
    ['bn_nosecret', 'Invalid API Key structure'],
    [`bn_nobody-here_${'0'.repeat(32)}`, 'Node not found or banned'],
  ])('the key %s is refused with %j', async (key, detail) => {
    const reply = await world.call('GET', '/v1/node/me', { headers: { 'x-api-key': key } });
    expect([reply.status, reply.body.detail]).toEqual([401, detail]);
  });

  test('another secret of a node is refused', async () => {
    const node = await registerNode(world, 'with_under_scores');
    const reply = await world.call('GET', '/v1/node/me', {
      headers: { 'x-api-key': `bn_with_under_scores_${'0'.repeat(32)}` },
    });
    expect([reply.status, reply.body.detail]).toEqual([401, 'Authentication failed']);
    expect((await node.call('GET', '/v1/node/me')).status).toBe(200);
  });

  test.each([
    ['unsigned', (header: string, payload: string) => `${header}.${payload}.`],
    ['signed by nobody', (header: string, payload: string) => `${header}.${payload}.${'A'.repeat(342)}`],
    [
      'of no algorithm',
      (_header: string, payload: string) =>
        `${Buffer.from('{"alg":"none","x":"RS256"}').toString('base64url')}.${payload}.A`,
    ],
  ])('a token %s is refused', async (_what, forge) => {
    const node = await registerNode(world);
    const [header = '', payload = ''] = node.token.split('.');
    const reply = await world.call('GET', '/v1/node/me', { key: forge(header, payload) });
    expect(reply.status).toBe(401);
  });
});

describe('a node', () => {
  test('is shown to everybody with what it offers', async () => {
    const node = await registerNode(world);
    const skill = await publish(node, { price: 0.3, label: 'CSV Parser' });
    const { body } = await world.call('GET', `/v1/nodes/${node.id}`);
    expect(body).toEqual({
      node_id: node.id,
      reputation: 30,
      strikes: 0,
      active: true,
      member_since: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/),
      skills: [{ id: skill, label: 'CSV Parser', price: '0.30' }],
    });
    expect(await world.call('GET', '/v1/nodes/nobody')).toMatchObject({
      status: 404,
      body: { detail: 'Node not found' },
    });
  });

  test('sees itself with its money and its standing', async () => {
    const node = await registerNode(world);
    expect((await node.call('GET', '/v1/node/me')).body).toMatchObject({
      node_id: node.id,
      balance_tck: '100.00',
      cri_score: 30,
      level: { id: 0, name: 'Spawn' },
      tck_spent: 0,
      genesis_badge: { has_badge: false, rank: null, awarded_at: null },
      stats: { tasks_purchased: 0, tasks_completed_as_seller: 0, skills_published: 0 },
      canary: { max_spend_daily: null, max_escrow_per_task: null },
      pending_escrows: 0,
      active: true,
    });
  });

  test('limits what it locks away, and lifts the limit with null or nothing', async () => {
    const node = await registerNode(world);
    const set = async (body: unknown) => (await node.call('PUT', '/v1/node/canary', body)).body.canary;
    expect(await set({ max_spend_daily: 10, max_escrow_per_task: '2.5' })).toEqual({
      max_spend_daily: '10.00',
      max_escrow_per_task: '2.50',
    });
    expect(await set({ max_spend_daily: null })).toEqual({ max_spend_daily: null, max_escrow_per_task: '2.50' });
    const query = await node.call('POST', '/v1/nodes/me/canary?max_spend_daily=5&max_escrow_per_task=-1');
    expect(query.body.canary).toEqual({ max_spend_daily: '5.00', max_escrow_per_task: null });
    expect((await node.call('GET', '/v1/node/canary')).body).toEqual({ node_id: node.id, canary: query.body.canary });
    expect((await node.call('PUT', '/v1/node/canary', { max_spend_daily: -1 })).status).toBe(422);
    const byToken = await world.call('POST', '/v1/nodes/me/canary?max_spend_daily=5', { key: node.token });
    expect(byToken.status).toBe(401);
  });

  test('locks away no more at once than it lets itself, whichever way', async () => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    await buyer.call('PUT', '/v1/node/canary', { max_escrow_per_task: 2 });
    const lock = await buyer.call('POST', '/v1/trade/escrow/init', { seller_id: seller.id, amount: 2.01 });
    expect(lock).toMatchObject({ status: 400, body: { detail: expect.stringContaining('exceeds your per-task cap') } });
    const skill = await publish(seller, { price: 2.01 });
    const task = await buyer.call('POST', '/v1/tasks/create', { skill_id: skill, input_data: {} });
    expect(task).toMatchObject({ status: 400, body: { detail: expect.stringContaining('exceeds your per-task cap') } });
    expect((await buyer.call('GET', '/v1/node/me')).body).toMatchObject({ balance_tck: '100.00', pending_escrows: 0 });
  });

  test.each([
    ['at once', { max_escrow_per_task: 9 }, 'exceeds your per-task cap'],
    ['on one day', { max_spend_daily: 9 }, 'Daily spend cap reached'],
  ])('is bound %s by every way of locking money away', async (_what, cap, words) => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    const skill = await publish(seller, { price: 10, label: 'scheduler' });
    expect((await buyer.call('PUT', '/v1/node/canary', cap)).status).toBe(200);
    const bounty = { title: 'A bounty', description: 'Something to be done.', reward_tck: 10 };
    const ways: [string, object][] = [
      ['/v1/trade/escrow/init', { seller_id: seller.id, amount: 10 }],
      ['/v1/tasks/create', { skill_id: skill, input_data: {} }],
      ['/v1/mcp/hire', { integration: 'x', capability: 'scheduler', payload: {}, max_price: 10 }],
      ['/v1/a2a/tasks/send', { skill_id: skill, input: {} }],
      ['/v1/bounties', bounty],
    ];
    for (const [path, body] of ways) {
      const reply = await buyer.call('POST', path, body);
      expect([path, reply.status, reply.body.detail ?? reply.body.message]).toEqual([
        path,
        400,
        expect.stringContaining(words),
      ]);
    }
    const shadow = await buyer.call('POST', '/v1/shadow/tasks/create', { skill_id: skill, input_data: {} });
    expect(shadow.status).toBe(200);
    expect((await buyer.call('GET', '/v1/node/me')).body).toMatchObject({ balance_tck: '100.00', tck_spent: 0 });
  });

  test('locks away no more on one day than it lets itself, also of four at once, and as much again on the next', async () => {
    const [buyer, seller] = [await registerNode(world), await registerNode(world)];
    await buyer.call('PUT', '/v1/node/canary', { max_spend_daily: 10 });
    const lock = () => buyer.call('POST', '/v1/trade/escrow/init', { seller_id: seller.id, amount: 4 });
    const replies = await Promise.all([1, 2, 3, 4].map(lock));
    expect(statusesOf(replies)).toEqual([200, 200, 400, 400]);
    expect(replies.find(({ status }) => status === 400)?.body.detail).toContain('Daily spend cap reached');
    world.clock.advance(DAY);
    expect((await lock()).status).toBe(200);
    expect((await buyer.call('GET', '/v1/node/me')).body).toMatchObject({ balance_tck: '88.00', tck_spent: 12 });
  });

  test('has a badge that browsers may show', async () => {
    const node = await registerNode(world);
    const headers = { 'user-agent': 'Mozilla/5.0 Chrome/120.0.0' };
    const reply = await world.call('GET', `/v1/node/${node.id}/badge.svg`, { headers });
    expect(reply.status).toBe(200);
    expect(reply.headers.get('content-type')).toBe('image/svg+xml');
    expect(reply.body).toMatch(/^<svg [^>]*width="460" height="80"/);
    for (const text of [node.id, 'CRI: 30 · TX: 0 · Active: 0d · Skills: 0', '>Node<'])
      expect(reply.body).toContain(text);
    expect((await world.call('GET', '/v1/node/nobody/badge.svg')).status).toBe(404);
  });
});
