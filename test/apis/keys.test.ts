import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { MINUTE } from '../../src/kernel/time.ts';
import { startApis, type Agent, type TestApis } from '../harness/apis.ts';

const STRANGE_ID = '01890000-0000-7000-8000-000000000000';

let world: TestApis;
let agent: Agent;
beforeAll(async () => void (world = await startApis()));
beforeEach(async () => void (agent = await world.register()));
afterAll(() => world.close());

const mint = (body: unknown, options: { key?: string; headers?: Record<string, string> } = {}) =>
  world.call('POST', '/v1/keys', { key: agent.key, ...options, body });
const list = async (key = agent.key) => (await world.call('GET', '/v1/keys', { key })).body.keys;
const revoke = (id: string, key = agent.key) => world.call('DELETE', `/v1/keys/${id}`, { key });
const works = async (key: string) => (await world.call('GET', '/v1/account', { key })).status === 200;

describe('a new key', () => {
  test('is shown once, and afterwards without its secret', async () => {
    const { status, body } = await mint({ name: 'production', scopes: ['write', 'compute'] });
    expect(status).toBe(201);
    expect(body).toEqual({
      id: expect.any(String),
      name: 'production',
      key_prefix: body.key.slice(0, 17),
      key: expect.stringMatching(/^bod_live_[0-9a-f]{32}$/),
      scopes: ['write', 'compute'],
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    });
    const { key: _secret, ...shown } = body;
    expect(await list()).toEqual([
      expect.objectContaining({ id: agent.keyId, name: 'registration', scopes: [] }),
      { ...shown, last_used_at: null, expires_at: null },
    ]);
  });

  test('is kept as a hash: no table holds the key itself', async () => {
    const { body } = await mint({ name: 'production' });
    const rows = await world.db.query<{ line: string }>(
      `select k::text as line from api_keys k union all select f::text from facts f`,
    );
    expect(rows.filter(({ line }) => line.includes(body.key.slice(9)))).toEqual([]);
    expect(rows.filter(({ line }) => line.includes(body.key_prefix)).length).toBeGreaterThan(0);
  });

  test('can be written as clients of the E2B API want it, and is a key like any other', async () => {
    const { status, body } = await mint({ name: 'sdk', scopes: ['read', 'write'], format: 'e2b' });
    expect(status).toBe(201);
    expect(body.key).toMatch(/^e2b_[0-9a-f]{40}$/);
    expect(body.key_prefix).toBe(body.key.slice(0, 12));
    expect(await list()).toContainEqual(
      expect.objectContaining({ id: body.id, key_prefix: body.key_prefix, scopes: ['read', 'write'] }),
    );
    expect(await works(body.key)).toBe(true);
    expect((await world.call('GET', '/v1/account', { headers: { 'x-api-key': body.key } })).status).toBe(200);
    expect((await mint({ name: 'more' }, { key: body.key })).status).toBe(403);
    const rows = await world.db.query<{ line: string }>(`select k::text as line from api_keys k`);
    expect(rows.filter(({ line }) => line.includes(body.key.slice(4)))).toEqual([]);
    await revoke(body.id);
    expect(await works(body.key)).toBe(false);
  });

  test('in the format of E2B counts among the five, and is the same one again under its Idempotency-Key', async () => {
    const headers = { 'idempotency-key': 'alias' };
    const first = await mint({ name: 'k', format: 'e2b' }, { headers });
    await world.db.query(`delete from idempotency_records where key = 'alias'`);
    expect((await mint({ name: 'k', format: 'e2b' }, { headers })).body).toEqual(first.body);
    for (let n = 0; n < 3; n++) expect((await mint({ name: `k${n}`, format: 'e2b' })).status).toBe(201);
    expect((await mint({ name: 'sixth', format: 'e2b' })).status).toBe(409);
  });

  test.each([
    ['no name', {}, 'name is required and must be a string'],
    ['an empty name', { name: '' }, 'name must be at least 1 characters; name must not be blank'],
    ['a blank name', { name: ' ' }, 'name must not be blank'],
    ['a name of 129 characters', { name: 'x'.repeat(129) }, 'name must be at most 128 characters'],
    ['an unknown scope', { name: 'k', scopes: ['root'] }, 'scopes.0 must be one of: read, write, exec, compute'],
    ['an unknown format', { name: 'k', format: 'uuid' }, 'format must be one of: freehold, e2b'],
    ['scopes that are no list', { name: 'k', scopes: 'read' }, 'scopes must be an array'],
  ])('with %s is refused', async (_what, body, error) => {
    expect(await mint(body)).toMatchObject({ status: 400, body: { error } });
  });

  test('is the sixth at most once: of many at once the account gets five in all, the registration key among them', async () => {
    const replies = await Promise.all(Array.from({ length: 12 }, (_, n) => mint({ name: `key ${n}` })));
    expect(replies.filter((reply) => reply.status === 201)).toHaveLength(4);
    expect(replies.filter((reply) => reply.status === 409)).toHaveLength(8);
    expect(await list()).toHaveLength(5);
    const spare = replies.find((reply) => reply.status === 201);
    await revoke(agent.keyId, spare?.body.key);
    expect((await mint({ name: 'in its place' }, { key: spare?.body.key })).status).toBe(201);
  });

  test('under an Idempotency-Key is one key, the same in every reply', async () => {
    const headers = { 'idempotency-key': 'one-key' };
    const first = await mint({ name: 'k' }, { headers });
    const again = await mint({ name: 'k' }, { headers });
    expect([again.status, again.body]).toEqual([201, first.body]);
    expect(await list()).toHaveLength(2);
    expect((await mint({ name: 'other' }, { headers })).status).toBe(409);
  });

  test('asked for again after a crash is the same key, also when the account has five by then', async () => {
    const headers = { 'idempotency-key': 'crashed' };
    const first = await mint({ name: 'k' }, { headers });
    for (let n = 0; n < 3; n++) await mint({ name: `key ${n}` });
    await world.db.query(`delete from idempotency_records where key = 'crashed'`);
    expect((await mint({ name: 'k' }, { headers })).body).toEqual(first.body);
    expect(await list()).toHaveLength(5);
    expect(await works(first.body.key)).toBe(true);
  });
});

describe('a scoped key', () => {
  const scoped = async (...scopes: string[]) => (await mint({ name: 'scoped', scopes })).body.key as string;

  test('may do what its scopes say and is told which one it lacks', async () => {
    const [reader, writer, executor] = [await scoped('read'), await scoped('write'), await scoped('exec')];
    expect(await works(reader)).toBe(true);
    expect(await works(writer)).toBe(true);
    expect(await world.call('GET', '/v1/account', { key: executor })).toMatchObject({
      status: 403,
      body: { error: "Insufficient permissions: requires 'read' scope" },
    });
    expect(await mint({ name: 'k', scopes: ['read'] }, { key: reader })).toMatchObject({
      status: 403,
      body: { error: "Insufficient permissions: requires 'write' scope" },
    });
  });

  test('mints keys with its own scopes or fewer, never with more or with none', async () => {
    const key = await scoped('read', 'write');
    expect((await mint({ name: 'k', scopes: ['read'] }, { key })).body.scopes).toEqual(['read']);
    expect(await mint({ name: 'k', scopes: ['write', 'exec'] }, { key })).toMatchObject({
      status: 403,
      body: { error: "Insufficient permissions: requires 'exec' scope" },
    });
    for (const body of [{ name: 'k' }, { name: 'k', scopes: [] }]) expect((await mint(body, { key })).status).toBe(403);
  });

  test('with every scope is still no key without scopes', async () => {
    const key = await scoped('read', 'write', 'exec', 'compute');
    expect((await mint({ name: 'k' }, { key })).status).toBe(403);
    expect((await world.call('POST', '/v1/account/claim-link', { key })).status).toBe(403);
  });
});

describe('revoking a key', () => {
  test('ends it at once and takes it off the list', async () => {
    const { body } = await mint({ name: 'k' });
    expect(await works(body.key)).toBe(true);
    expect(await revoke(body.id)).toMatchObject({ status: 200, body: { id: body.id, revoked: true } });
    expect(await world.call('GET', '/v1/account', { key: body.key })).toMatchObject({
      status: 401,
      body: { error: 'Invalid API key' },
    });
    expect(await list()).toHaveLength(1);
  });

  test('twice is revoking it once', async () => {
    const { body } = await mint({ name: 'k' });
    const replies = [await revoke(body.id), await revoke(body.id.toUpperCase())];
    expect(replies.map((reply) => reply.status)).toEqual([200, 200]);
    expect(
      await world.db.query(`select 1 from facts where type = 'key.revoked' and subject = $1`, [body.id]),
    ).toHaveLength(1);
  });

  test('is for the keys of one’s own account: another’s does not exist', async () => {
    const other = await world.register('other-agent');
    for (const id of [other.keyId, STRANGE_ID, 'nonsense']) {
      expect(await revoke(id)).toMatchObject({ status: 404, body: { error: 'API key not found' } });
    }
    expect(await works(other.key)).toBe(true);
  });
});

describe('a key in a request', () => {
  test('may come raw, as bearer or as X-API-KEY', async () => {
    const ways: Record<string, string>[] = [
      { authorization: agent.key },
      { authorization: `Bearer ${agent.key}` },
      { authorization: `bearer  ${agent.key}` },
      { 'x-api-key': agent.key },
    ];
    for (const headers of ways) expect((await world.call('GET', '/v1/account', { headers })).status).toBe(200);
  });

  test('is refused in the query string, valid or not', async () => {
    expect((await world.call('GET', `/v1/account?api_key=${agent.key}`)).status).toBe(400);
  });

  test.each([
    '',
    'Bearer',
    'Bearer ',
    'bod_live_',
    `bod_live_${'0'.repeat(32)}`,
    `e2b_${'0'.repeat(40)}`,
    'Basic dXNlcjpwYXNz',
    'x'.repeat(5_000),
  ])('that is %j opens nothing', async (authorization) => {
    const headers: Record<string, string> = authorization === '' ? {} : { authorization };
    expect(await world.call('GET', '/v1/account', { headers })).toMatchObject({
      status: 401,
      body: { error: 'Invalid API key' },
    });
  });

  test('notes the time of its use, at most once a minute', async () => {
    const used = async () => (await list())[0].last_used_at as string;
    const first = await used();
    expect(Math.abs(Date.parse(first) - world.clock.now().getTime())).toBeLessThan(MINUTE);
    world.clock.advance(MINUTE / 2);
    expect(await used()).toBe(first);
    world.clock.advance(MINUTE / 2);
    expect(Date.parse(await used())).toBeGreaterThanOrEqual(Date.parse(first) + MINUTE);
  });
});
