import { afterAll, describe, expect, test } from 'vitest';
import type { Api, Route } from '../../src/apis/contract.ts';
import { AppError, type Code, type FieldError } from '../../src/kernel/errors.ts';
import { SCOPES } from '../../src/domains/identity/index.ts';
import { DEFAULT_BODY_LIMIT } from '../../src/platform/http.ts';
import { ADMIN_KEY, type Reply } from '../harness/apis.ts';
import {
  NAMES_A_CHOICE,
  caller,
  filled,
  other,
  resourceOf,
  scopedKeys,
  SEEN_BY_ALL,
  UNKNOWN_UUID,
  world,
} from './resources.ts';
import { bodyFields, countsInQuery, sampleBody, sampleQuery } from './sample.ts';

/**
 * Everything that a caller can get wrong, for every route of every contract: the cases come from the route table, so
 * that a new route is covered when it is declared.
 */
afterAll(() => world.close());

const UNKNOWN_IDS: [string, string][] = [
  ['an id that nothing has', UNKNOWN_UUID],
  ['a word', 'nonsense'],
  ['a number', '-1'],
  ['SQL', "1'%20or%20'1'='1"],
  ['a path', '..%2f..%2fetc%2fpasswd'],
  ['an emoji', '%F0%9F%98%80'],
  ['a very long id', 'x'.repeat(600)],
];
const BAD_REQUEST = 400;
const LONG = 'x'.repeat(200_000);
const DEEP = 100_000;

type Attempt = { path?: string; body?: unknown; headers?: Record<string, string>; key?: string | null };

function attempt(route: Route, { path = asked(route), body, headers = {}, key }: Attempt): Promise<Reply> {
  const own = { account: caller.key, admin: ADMIN_KEY, operator: undefined, public: undefined }[route.access];
  const shown = route.secret?.value === undefined ? {} : { [route.secret.header]: route.secret.value };
  return world.call(route.method, path, {
    key: key === null ? undefined : (key ?? own),
    body,
    headers: { ...shown, ...headers },
  });
}

const asked = (route: Route, id?: string): string => filled(route.path, id) + sampleQuery(route);
/** What is wrong with a request is wrong with a field of it, which some contracts tell from other refusals. */
const FIELD: FieldError = { in: 'body', path: ['name'], message: 'any', problem: 'malformed' };
const statusOf = (api: Api, code: Code): number =>
  api.presentError(new AppError(code, 'any', code === 'invalid' ? { fields: [FIELD] } : {})).status;

/** A refusal in the contract's own shape, that tells nothing of our inside. */
function expectShape(api: Api, reply: Reply): void {
  // Nothing answers 500; a part that is not set up says so with 503.
  if (reply.status !== statusOf(api, 'unconfigured')) expect(reply.status).toBeLessThan(500);
  expect(reply.headers.get('x-request-id')).toMatch(/^\S+$/);
  if (reply.status < 400) return;
  const type = reply.headers.get('content-type') ?? '';
  // A page that there is not is a page itself.
  const isPage = api.name === 'web' && type.startsWith('text/html');
  if (!isPage) {
    expect(type).toMatch(/^application\/json/);
    expect(api.errorSchema.safeParse(reply.body).error).toBeUndefined();
  }
  expect(JSON.stringify(reply.body)).not.toMatch(/node_modules|\.ts:|select |insert into |violates|undefined/);
}

function expectRefusal(api: Api, reply: Reply, code: Code): void {
  expectShape(api, reply);
  expect([reply.status, JSON.stringify(reply.body)]).toEqual([statusOf(api, code), expect.any(String)]);
}

/** Text that is sent as it is, under `Content-Type: application/json`. */
const MALFORMED_BODIES: [string, string, Code][] = [
  ['is cut off', '{"name":', 'invalid'],
  ['is not JSON', 'name=value', 'invalid'],
  ['has a NUL in a value', '{"name":"a\\u0000b"}', 'invalid'],
  ['has a NUL in a field name', '{"na\\u0000me":1}', 'invalid'],
  ['has a lone surrogate', '{"name":"\\ud800"}', 'invalid'],
  ['is nested without end', '['.repeat(DEEP), 'invalid'],
  ['is a JSON bomb of arrays', '['.repeat(DEEP) + ']'.repeat(DEEP), 'invalid'],
  ['is a JSON bomb of objects', '{"a":'.repeat(DEEP) + '1' + '}'.repeat(DEEP), 'invalid'],
  ['is too large', JSON.stringify({ name: 'x'.repeat(DEFAULT_BODY_LIMIT) }), 'too_large'],
];
const NO_OBJECTS: [string, string][] = [
  ['is an array', '[]'],
  ['is null', 'null'],
  ['is a string', '"text"'],
  ['is a number', '1e400'],
];

/** What a field may be sent as; each field refuses most of them. */
const STRANGE_VALUES: [string, unknown][] = [
  ['null', null],
  ['true', true],
  ['a fraction', 12.5],
  ['a negative number', -1],
  ['an endless number', 1e308],
  ['an empty string', ''],
  ['a string of spaces', '   '],
  ['a number in a string', '1'],
  ['an empty array', []],
  ['an array in an array', [[[]]]],
  ['an empty object', {}],
  ['an operator object', { $ne: null }],
  ['markup', '<script>alert(1)</script>'],
  ['SQL', "'; drop table accounts; --"],
  ['a prototype', JSON.parse('{"__proto__":{"admin":true}}')],
];
/** Fields that hold whole files; how much they take is tested with their routes. */
const WIDE = new Set(['content']);
/** No other field is so wide that these fit. */
const TOO_MUCH: [string, unknown][] = [
  ['a very long string', LONG],
  ['a very long array', Array.from({ length: 50_000 }, () => 'x')],
  ['a very large number', 1e300],
  ['a number beyond exact integers', Number.MAX_SAFE_INTEGER + 2],
];

describe.each(
  world.apis.flatMap((api) =>
    api.routes.filter((route) => !route.aliasOf).map((route) => [`${route.method} ${route.path}`, api, route] as const),
  ),
)('%s', (_name, api, route) => {
  const sendsBody = route.method !== 'GET' && !route.stream;

  if (route.access === 'account' || route.access === 'admin') {
    test.each([
      ['without a credential', null],
      ['with an unknown key', `bod_live_${'0'.repeat(32)}`],
      ['with a credential that is none', 'x'.repeat(3_000)],
      ['with another kind of credential', route.access === 'admin' ? caller.key : ADMIN_KEY],
    ])('%s is refused', async (_what, key) => expectRefusal(api, await attempt(route, { key }), 'unauthenticated'));
  }

  if (route.scopes) {
    const others = SCOPES.filter((scope) => !route.scopes?.includes(scope));
    test.each(others)('with a key that may only %s is forbidden', async (scope) => {
      expectRefusal(api, await attempt(route, { key: scopedKeys[scope] }), 'forbidden');
    });
  }

  test('with a credential in the URL is refused', async () => {
    expectRefusal(api, await attempt(route, { path: `${filled(route.path)}?api_key=${caller.key}` }), 'invalid');
  });

  test.each(['%00', '%ED%A0%80', '%', '%FF'])('with %j in its query is no defect of ours', async (text) => {
    expectShape(api, await attempt(route, { path: `${filled(route.path)}?${text}=1&x=${text}`, key: null }));
  });

  test('with a NUL in its query is refused', async () => {
    expectRefusal(api, await attempt(route, { path: `${filled(route.path)}?x=%00` }), 'invalid');
  });

  for (const name of countsInQuery(route)) {
    test.each(['0', '-1', '1.5', '1e3', '0x10', '99999999999', 'NaN', '', '%20', 'many', `1&${name}=2`])(
      `with ?${name}=%s is refused`,
      async (value) =>
        expectRefusal(api, await attempt(route, { path: `${filled(route.path)}?${name}=${value}` }), 'invalid'),
    );
  }

  if (route.path.includes(':')) {
    test.each(UNKNOWN_IDS)('does not find %s', async (_what, id) => {
      const body = route.body && sampleBody(route);
      const reply = await attempt(route, { path: asked(route, id), body });
      if (NAMES_A_CHOICE.test(route.path) && reply.status === BAD_REQUEST) return expectShape(api, reply);
      expectRefusal(api, reply, 'not_found');
    });

    test.each(['%00', 'a%00b', '%E0%A4%A'])('refuses the id %j', async (id) => {
      expectRefusal(
        api,
        await attempt(route, { path: asked(route, id), body: route.body && sampleBody(route) }),
        'invalid',
      );
    });
  }

  if (route.path.includes(':') && route.access === 'account' && !SEEN_BY_ALL.test(route.path)) {
    test('does not find what is another account’s, in the same words as what does not exist', async () => {
      const path = await resourceOf(route, other);
      expect(path, `RESOURCE tells how ${route.path} comes to be`).toBeDefined();
      const body = route.body && sampleBody(route);
      const foreign = await attempt(route, { path, body });
      expectRefusal(api, foreign, 'not_found');
      expect(foreign.body).toEqual((await attempt(route, { body })).body);
    });
  }

  if (sendsBody) {
    test.each(MALFORMED_BODIES)('with a body that %s is refused', async (_what, body, code) => {
      const limit = route.bodyLimit ?? DEFAULT_BODY_LIMIT;
      const sent = code === 'too_large' ? JSON.stringify({ name: 'x'.repeat(limit) }) : body;
      expectRefusal(api, await attempt(route, { body: sent }), code);
    });

    test.each(['text/xml', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'nonsense'])(
      'with a body of type %s is refused',
      async (type) =>
        expectRefusal(
          api,
          await attempt(route, { body: '{}', headers: { 'content-type': type } }),
          'unsupported_media',
        ),
    );
  }

  if (!route.body) return;

  test.each(NO_OBJECTS)('with a body that %s is refused', async (_what, body) => {
    expectRefusal(api, await attempt(route, { body }), 'invalid');
  });

  test('has a sample body that it accepts, so that the next tests are about one field each', () => {
    expect(route.body?.safeParse(sampleBody(route)).error).toBeUndefined();
  });

  describe.each(Object.keys(bodyFields(route)))('with %s', (field) => {
    const sent = (value: unknown) => ({ ...sampleBody(route), [field]: value });

    test.each(STRANGE_VALUES)('sent as %s answers in the contract’s shape', async (_what, value) => {
      const accepted = route.body?.safeParse(sent(value)).success;
      const reply = await attempt(route, { body: sent(value) });
      if (accepted) expectShape(api, reply);
      else expectRefusal(api, reply, 'invalid');
    });

    const tooMuch = WIDE.has(field) ? TOO_MUCH.filter(([, value]) => value !== LONG) : TOO_MUCH;
    test.each(tooMuch)('sent as %s is refused', async (_what, value) => {
      expectRefusal(api, await attempt(route, { body: sent(value) }), 'invalid');
    });
  });
});

test('what has a second path is the same route there', () => {
  const routes = world.apis.flatMap((api) => api.routes);
  const aliases = routes.filter((route) => route.aliasOf);
  expect(aliases.length).toBeGreaterThan(5);
  for (const { aliasOf, path, ...alias } of aliases) {
    const own = routes.find((route) => route.method === alias.method && route.path === aliasOf);
    expect(own).toEqual({ ...alias, path: aliasOf });
    expect(own?.handle).toBe(alias.handle);
    expect(path).not.toBe(aliasOf);
  }
});

describe.each(
  world.apis.flatMap((api) =>
    api.routes.filter((route) => route.aliasOf).map((route) => [`${route.method} ${route.path}`, api, route] as const),
  ),
)('%s, a second path,', (_name, api, route) => {
  test('refuses a NUL in its query', async () =>
    expectRefusal(api, await attempt(route, { path: `${filled(route.path)}?x=%00` }), 'invalid'));
  if (route.access === 'account')
    test('refuses a caller without a credential', async () =>
      expectRefusal(api, await attempt(route, { key: null }), 'unauthenticated'));
  if (route.path.includes(':'))
    test('does not find what is not there', async () =>
      expectRefusal(api, await attempt(route, { body: route.body && sampleBody(route) }), 'not_found'));
  if (route.path.includes(':') && route.access === 'account')
    test('does not find what is another account’s', async () => {
      const own = route.aliasOf && (await resourceOf({ ...route, path: route.aliasOf }, other));
      const path = own?.replace(route.aliasOf?.replace(route.path, '') ?? '', '');
      expect(path).toMatch(/^\/\w/);
      expectRefusal(
        api,
        await attempt(route, { path: path ?? '', body: route.body && sampleBody(route) }),
        'not_found',
      );
    });
  if (route.body)
    test.each([...NO_OBJECTS, ['is cut off', '{"name":']])('refuses a body that %s', async (_what, body) =>
      expectRefusal(api, await attempt(route, { body }), 'invalid'),
    );
});

describe('what no route answers', () => {
  test.each([
    ['GET', '/v1'],
    ['GET', '/v1/nowhere'],
    ['POST', '/v1/auth/challenge/x'],
    ['GET', '/v1//keys'],
    ['GET', '/v1/keys/../../etc/passwd'],
    ['GET', '/v1/%2e%2e/admin'],
  ])('%s %s does not exist', async (method, path) => {
    const reply = await world.call(method, path, { key: caller.key });
    expect(reply).toMatchObject({ status: 404, body: { error: expect.any(String) } });
  });

  test.each([
    ['PUT', '/v1/keys', 'GET, POST'],
    ['PATCH', '/v1/auth/register', 'POST'],
    ['DELETE', '/v1/account', 'GET'],
  ])('%s %s is told the methods that there are', async (method, path, allowed) => {
    const reply = await world.call(method, path, { key: caller.key });
    expect(reply).toMatchObject({ status: 405, body: { error: 'Method not allowed' } });
    expect(reply.headers.get('allow')?.split(', ').toSorted().join(', ')).toBe(allowed);
  });
});
