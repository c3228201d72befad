import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ok, route, type Api } from '../../src/apis/contract.ts';
import { serve } from '../../src/apis/serve.ts';
import { AppError } from '../../src/kernel/errors.ts';
import { idOf, uuidv7 } from '../../src/kernel/ids.ts';
import { newId, type Actor } from '../../src/kernel/op.ts';
import { MINUTE } from '../../src/kernel/time.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createHttpServer } from '../../src/platform/http.ts';
import { requestLimits } from '../../src/platform/limits.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';

const STATUS: Record<string, number> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  too_large: 413,
  unsupported_media: 415,
  rate_limited: 429,
  at_capacity: 503,
};

const account = (scopes: Extract<Actor, { kind: 'account' }>['scopes']): Actor => ({
  kind: 'account',
  accountId: idOf('account', uuidv7(new Date())),
  keyId: idOf('key', uuidv7(new Date())),
  scopes,
});
const callers: Record<string, Actor> = {
  owner: account(null),
  reader: account(['read']),
  busy: account(null),
  root: { kind: 'admin' },
};

let made: string[] = [];
let answered: number[] = [];
const slow = Promise.withResolvers<void>();
const Thing = z.object({ name: z.string().min(2), size: z.number().int().min(1).max(9) });
const toy: Api = {
  name: 'toy',
  title: 'Toy',
  owns: () => true,
  errorSchema: z.object({ error: z.string() }),
  presentError: (error) => ({ status: STATUS[error.code] ?? 500, body: { error: error.message } }),
  routes: [
    route({
      method: 'GET',
      path: '/open',
      tag: 't',
      summary: 's',
      access: 'public',
      replies: {},
      addressLimit: { name: 'open', max: 2, windowMs: MINUTE },
      handle: async () => ok({}),
    }),
    route({
      method: 'GET',
      path: '/things/:id',
      tag: 't',
      summary: 's',
      access: 'account',
      scopes: ['read'],
      params: z.object({ id: z.string() }),
      replies: {},
      handle: async (op, { params }) => ok({ id: params.id, mine: op.actor.accountId }),
    }),
    route({
      method: 'POST',
      path: '/things',
      tag: 't',
      summary: 's',
      access: 'account',
      scopes: ['write'],
      body: Thing,
      idempotent: true,
      replies: {},
      handle: async (op, { body }) => {
        if (body.name === 'full') throw new AppError('at_capacity', 'Full');
        if (body.name === 'boom') throw new Error('password=hunter2');
        const id = newId(op, 'task');
        made.push(id);
        return { status: 201, body: { id } };
      },
    }),
    route({
      method: 'GET',
      path: '/slow',
      tag: 't',
      summary: 's',
      access: 'account',
      replies: {},
      handle: async ({ signal }) => {
        slow.resolve();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        throw signal.reason;
      },
    }),
    route({
      method: 'GET',
      path: '/admin',
      tag: 't',
      summary: 's',
      access: 'admin',
      replies: {},
      handle: async () => ok({}),
    }),
  ],
};

describe('the edge that all contracts share', () => {
  let database: TestDatabase;
  let server: FastifyInstance;
  let origin: string;
  beforeAll(async () => {
    database = await testDatabase();
    server = createHttpServer();
    serve(server, [toy], {
      db: database.db,
      clock: systemClock,
      limits: requestLimits,
      secret: Buffer.alloc(32, 1),
      authenticate: async ({ authorization }) => {
        const actor = callers[authorization?.replace('Bearer ', '') ?? ''];
        if (!actor) throw new AppError('unauthenticated', 'Invalid API key');
        return actor;
      },
      answered: ({ status }) => void answered.push(status),
    });
    origin = await server.listen({ port: 0, host: '127.0.0.1' });
  });
  beforeEach(async () => {
    made = [];
    answered = [];
    await database.db.query('delete from request_windows');
  });
  afterAll(async () => {
    await server.close();
    await database.drop();
  });

  const call = (method: string, path: string, headers: Record<string, string> = {}, body?: unknown) =>
    fetch(origin + path, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  const owner = { authorization: 'owner' };
  const post = (body: unknown, headers: Record<string, string> = owner) => call('POST', '/things', headers, body);

  test('every reply bears the request id: a sane one of the client, else a new one', async () => {
    expect((await call('GET', '/open', { 'x-request-id': 'abc-1' })).headers.get('x-request-id')).toBe('abc-1');
    const strange = (await call('GET', '/nowhere', { 'x-request-id': 'a b<c>' })).headers.get('x-request-id');
    expect(strange).toMatch(/^[0-9a-f-]{36}$/);
  });

  test.each([
    ['not JSON', '{"name":', 400],
    ['an array', [], 400],
    ['a missing field', { name: 'ab' }, 400],
    ['a NUL character', { name: 'a\0b', size: 1 }, 400],
    ['a lone surrogate', '{"name":"a\\ud800","size":1}', 400],
    ['nesting without end', '['.repeat(200_000), 400],
    ['deep nesting', `${'['.repeat(5_000)}${']'.repeat(5_000)}`, 400],
    ['too many bytes', { name: 'x'.repeat(1_100_000), size: 1 }, 413],
  ])('a body with %s is refused as the caller’s mistake', async (_what, body, status) => {
    const response = await post(body);
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ error: expect.any(String) });
    expect(made).toEqual([]);
  });

  test('each wrong field is named with what it must be', async () => {
    const { error } = (await (await post({ name: 'a', size: 'x' })).json()) as { error: string };
    expect(error).toBe('name must be at least 2 characters; size must be a number');
    const missing = (await (await post({ size: 3 })).json()) as { error: string };
    expect(missing.error).toBe('name is required and must be a string');
  });

  test('a body of another type is 415', async () => {
    expect((await call('POST', '/things', { ...owner, 'content-type': 'text/xml' }, '<a/>')).status).toBe(415);
  });

  test('an unknown path is 404 and a known one with another method 405 with the methods it has', async () => {
    expect((await call('GET', '/nowhere')).status).toBe(404);
    const wrong = await call('DELETE', '/things');
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
  });

  test('a path that cannot be decoded is the caller’s mistake', async () => {
    const undecodable = await call('GET', '/things/%E0%A4%A', owner);
    expect([undecodable.status, await undecodable.json()]).toEqual([400, { error: 'The request is malformed' }]);
    expect(undecodable.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect((await call('GET', '/things/a%00b', owner)).status).toBe(400);
  });

  test('no credential and a wrong one are 401, a scope that does not fit is 403', async () => {
    expect((await call('GET', '/things/1')).status).toBe(401);
    expect((await call('GET', '/things/1', { authorization: 'nobody' })).status).toBe(401);
    expect((await call('GET', '/things/1', { authorization: 'reader' })).status).toBe(200);
    const refused = await post({ name: 'ab', size: 1 }, { authorization: 'reader' });
    expect([refused.status, await refused.json()]).toEqual([
      403,
      { error: "Insufficient permissions: requires 'write' scope" },
    ]);
    expect((await call('GET', '/admin', owner)).status).toBe(401);
    expect((await call('GET', '/admin', { authorization: 'root' })).status).toBe(200);
  });

  test('a credential in the query string is refused', async () => {
    for (const name of ['api_key', 'token', 'access_token', 'KEY'])
      expect((await call('GET', `/things/1?${name}=x`, owner)).status).toBe(400);
  });

  test('an account has 60 requests a minute over all its requests; the 61st is told when to come back', async () => {
    const busy = { authorization: 'busy' };
    for (let n = 0; n < 60; n++) expect((await call('GET', '/things/1', busy)).status).toBe(200);
    const refused = await call('GET', '/things/1', busy);
    expect([refused.status, await refused.json()]).toEqual([429, { error: 'Rate limit exceeded' }]);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await call('GET', '/things/1', owner)).status).toBe(200);
  });

  test('a route may limit the requests of an address', async () => {
    expect([
      (await call('GET', '/open')).status,
      (await call('GET', '/open')).status,
      (await call('GET', '/open')).status,
    ]).toEqual([200, 200, 429]);
  });

  test('keys cannot be tried out: wrong ones count against their address', async () => {
    let status = 0;
    for (let n = 0; n < 121; n++) ({ status } = await call('GET', '/things/1', { authorization: `guess-${n}` }));
    expect(status).toBe(429);
  });

  test('the same Idempotency-Key makes one thing, also when the repetitions come at once', async () => {
    const named = { ...owner, 'idempotency-key': 'once' };
    const replies = await Promise.all(Array.from({ length: 8 }, () => post({ name: 'ab', size: 1 }, named)));
    expect(made).toHaveLength(1);
    for (const reply of replies) expect([201, 409]).toContain(reply.status);
    const again = await post({ name: 'ab', size: 1 }, named);
    expect([again.headers.get('idempotent-replayed'), await again.json()]).toEqual(['true', { id: made[0] }]);
    expect((await post({ name: 'other', size: 1 }, named)).status).toBe(409);
  });

  test('a repetition may send its credential in another way', async () => {
    const named = { 'idempotency-key': 'another-way' };
    const first = await post({ name: 'ab', size: 1 }, { ...named, authorization: 'owner' });
    const again = await post({ name: 'ab', size: 1 }, { ...named, authorization: 'Bearer owner' });
    expect([again.status, await again.json()]).toEqual([201, await first.json()]);
  });

  test('what is no HTTP request is answered all the same, with a request id', async () => {
    const { hostname, port } = new URL(origin);
    const socket = connect(Number(port), hostname).end('GET / HTTP/9.9\r\nnonsense\r\n\r\n');
    const reply = await text(socket);
    expect(reply).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(reply).toMatch(/x-request-id: [0-9a-f-]{36}\r\n/);
    expect(reply).toMatch(/\{"error":"Bad Request"\}$/);
  });

  test('nothing on the way may keep a reply', async () => {
    expect((await call('GET', '/things/1', owner)).headers.get('cache-control')).toBe('no-store');
    expect((await call('GET', '/things/1')).headers.get('cache-control')).toBe('no-store');
  });

  test('being full is 503 with a time to come back', async () => {
    const full = await post({ name: 'full', size: 1 });
    expect([full.status, Number(full.headers.get('retry-after')) > 0]).toEqual([503, true]);
  });

  test('a caller that goes before it is answered is no defect of ours', async () => {
    const gone = new AbortController();
    const asked = fetch(`${origin}/slow`, { headers: owner, signal: gone.signal });
    await slow.promise;
    gone.abort();
    await expect(asked).rejects.toThrow();
    await expect.poll(() => answered).toEqual([409]);
  });

  test('a defect of ours tells the caller nothing of its inside', async () => {
    const response = await post({ name: 'boom', size: 1 });
    expect([response.status, await response.json()]).toEqual([500, { error: 'Internal server error' }]);
  });
});
