import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApis, type Agent, type TestApis } from '../harness/apis.ts';

let world: TestApis;
let agent: Agent;
beforeAll(async () => {
  world = await startApis();
  agent = await world.register();
});
afterAll(() => world.close());

type Case = [string, string, string, unknown, { loc: (string | number)[]; type: string }[]];
const KEYS = '/api/v1/users/me/api-keys';
const DEPOSIT = '/api/v1/billing/deposit';
const CASES: Case[] = [
  ['an absent field', 'DELETE', KEYS, {}, [{ loc: ['body', 'key_id'], type: 'missing' }]],
  ['an absent body', 'DELETE', KEYS, undefined, [{ loc: ['body', 'key_id'], type: 'missing' }]],
  ['a field of another type', 'DELETE', KEYS, { key_id: 7 }, [{ loc: ['body', 'key_id'], type: 'string_type' }]],
  ['a fraction', 'POST', DEPOSIT, { amount_cents: 500.5 }, [{ loc: ['body', 'amount_cents'], type: 'int_type' }]],
  [
    'too little',
    'POST',
    DEPOSIT,
    { amount_cents: 499 },
    [{ loc: ['body', 'amount_cents'], type: 'greater_than_equal' }],
  ],
  ['too much', 'POST', DEPOSIT, { amount_cents: 1e9 }, [{ loc: ['body', 'amount_cents'], type: 'less_than_equal' }]],
  ['too short a text', 'DELETE', KEYS, { key_id: '' }, [{ loc: ['body', 'key_id'], type: 'string_too_short' }]],
  ['too long a text', 'POST', KEYS, { name: 'x'.repeat(129) }, [{ loc: ['body', 'name'], type: 'string_too_long' }]],
  ['a blank', 'POST', KEYS, { name: '  ' }, [{ loc: ['body', 'name'], type: 'value_error' }]],
  ['no object', 'POST', KEYS, [], [{ loc: ['body'], type: 'model_attributes_type' }]],
  ['no JSON', 'POST', KEYS, '{"name":', [{ loc: ['body'], type: 'value_error' }]],
  ['a NUL', 'POST', KEYS, '{"name":"a\\u0000"}', [{ loc: ['body', 'name'], type: 'value_error' }]],
  [
    'no number in the query',
    'GET',
    '/api/v1/billing/usage?page=x',
    undefined,
    [{ loc: ['query', 'page'], type: 'int_parsing' }],
  ],
  [
    'a credential in the query',
    'GET',
    '/api/v1/users/me?token=x',
    undefined,
    [{ loc: ['query', 'token'], type: 'value_error' }],
  ],
  [
    'two wrong fields',
    'POST',
    DEPOSIT,
    { amount_cents: '500', currency: 'eur' },
    [
      { loc: ['body', 'amount_cents'], type: 'int_type' },
      { loc: ['body', 'currency'], type: 'literal_error' },
    ],
  ],
];

test.each(CASES)(
  '%s is 422, and each mistake says where it is, in words and as a type',
  async (_what, method, path, body, wrong) => {
    const reply = await world.call(method, path, { key: agent.key, body });
    expect([reply.status, reply.body]).toEqual([
      422,
      { detail: wrong.map((mistake) => ({ ...mistake, msg: expect.stringMatching(/\w+ \w+/) })) },
    ]);
    // The same at the root, where a stock client with another base asks.
    const atRoot = await world.call(method, path.replace('/api/v1', ''), { key: agent.key, body });
    expect([atRoot.status, atRoot.body]).toEqual([reply.status, reply.body]);
  },
);

describe('everything else that goes wrong is a sentence', () => {
  test('without a credential: 401, and how to send one', async () => {
    const reply = await world.call('GET', '/users/me');
    expect([reply.status, reply.body]).toEqual([401, { detail: 'Invalid API key' }]);
    expect(reply.headers.get('www-authenticate')).toBe('Bearer');
  });

  test.each(['/api/v1', '/api/v1/nowhere', '/api/v1/users/you', '/users', '/sessions/x/y/z', '/samples/'])(
    'GET %s does not exist',
    async (path) => {
      const reply = await world.call('GET', path, { key: agent.key });
      expect([reply.status, reply.body]).toEqual([404, { detail: 'Not found' }]);
    },
  );

  test.each([
    ['PUT', '/users/me', 'GET'],
    ['GET', '/api/v1/auth/refresh', 'POST'],
    ['PATCH', KEYS, 'DELETE, POST'],
  ])('%s %s is told the methods that there are', async (method, path, allowed) => {
    const reply = await world.call(method, path, { key: agent.key });
    expect([reply.status, reply.body]).toEqual([405, { detail: 'Method not allowed' }]);
    expect(reply.headers.get('allow')?.split(', ').toSorted().join(', ')).toBe(allowed);
  });

  test('paths of other contracts keep their own shape', async () => {
    expect((await world.call('GET', '/v1/nowhere')).body).toEqual({ error: 'Not found' });
    expect((await world.call('GET', '/auth/nowhere')).body).toEqual({ error: 'Not found' });
  });
});

test('/api/v1/health says how the server is, and /health the same and more', async () => {
  const own = await world.call('GET', '/api/v1/health');
  expect([own.status, own.body]).toEqual([
    200,
    { status: 'ok', service: 'freehold', version: '0.0.0', timestamp: expect.stringMatching(/Z$/) },
  ]);
  const { timestamp: _now, ...shared } = own.body;
  expect((await world.call('GET', '/health')).body).toMatchObject(shared);
});
