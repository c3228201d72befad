import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webApi } from '../../src/web/index.ts';
import { systemOp } from '../harness/op.ts';
import { ADMIN_KEY, startApis, type TestApis } from '../harness/apis.ts';

let world: TestApis;
beforeAll(async () => void (world = await startApis()));
afterAll(() => world.close());

const get = (path: string, headers: Record<string, string> = {}) => fetch(world.origin + path, { headers });

describe('/llms.txt', () => {
  test('is plain text that names every route for agents, and only routes that exist', async () => {
    const reply = await get('/llms.txt');
    expect(reply.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    const text = await reply.text();
    const routes = world.apis.flatMap((api) => api.routes);
    const named = [...text.matchAll(/^#### (\w+) (\S+)$/gm)].map(([, method, path]) => `${method} ${path}`);
    const wanted = routes
      .filter(
        ({ access, replies, aliasOf }) =>
          ['public', 'account'].includes(access) && replies[200]?.contentType !== 'text/html' && !aliasOf,
      )
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
    expect(named.toSorted()).toEqual(wanted.toSorted());
    const mentioned = [...text.matchAll(/\b(GET|POST) (\/v1\/[\w/-]+)/g)].map(([, method, path = '']) => ({
      method,
      path,
    }));
    expect(mentioned.length).toBeGreaterThan(10);
    for (const { method, path } of mentioned)
      expect([path, routes.some((route) => route.method === method && fits(route.path, path))]).toEqual([path, true]);
  });

  test('says of each route who may call it', async () => {
    const text = await (await get('/llms.txt')).text();
    const access = (route: string) => text.split(`#### ${route}\n`)[1]?.split('\n')[0];
    expect(access('POST /v1/node/register')).toContain('No key needed; with one it is done for its account.');
    expect(access('POST /api/v1/skills/{skill_id}/execute')).toContain('needs `X-INTERNAL-API-KEY`');
    expect(access('POST /api/v1/admin/sync/node')).toContain('needs their token');
    expect(access('GET /v1/auth/challenge')).toContain('No key needed.');
    expect(access('POST /v1/credits/transfer')).toContain('Needs a key; one with scopes needs `write`.');
    const { body } = await world.call('GET', '/openapi.json');
    expect(body.paths['/api/v1/skills/{skill_id}/execute'].post.security).toEqual([{ internalKey: [] }]);
    expect(body.components.securitySchemes.internalKey.name).toBe('X-INTERNAL-API-KEY');
  });

  test('names this server by the address that clients use', async () => {
    const text = await (await get('/llms.txt')).text();
    expect(text).toContain('curl -s https://freehold.test/v1/auth/challenge');
    expect(text).not.toContain(world.origin);
  });
});

/** `/v1/tasks/ID` in prose is `/v1/tasks/:id` in the table; a group's heading ends where its first parameter is. */
const fits = (pattern: string, path: string): boolean =>
  new RegExp(`^${pattern.replaceAll(/:\w+/g, '\\w+')}(/|$)`).test(path) || pattern.startsWith(`${path}:`);

describe('the text for an agent', () => {
  test('stands on the page to be copied, and names only routes that there are', async () => {
    const page = await (await get('/docs')).text();
    const [, shown = ''] = /id="agent-text"><code>([^<]*)</.exec(page) ?? [];
    expect(shown).toContain('https://freehold.test/llms.txt');
    const routes = world.apis.flatMap((api) => api.routes);
    const named = [...shown.matchAll(/\b(GET|POST|DELETE) (?:https:\/\/freehold\.test)?(\/[\w/]+)/g)];
    expect(named.length).toBeGreaterThan(5);
    for (const [, method, path = ''] of named)
      expect([path, routes.some((route) => route.method === method && fits(route.path, path))]).toEqual([path, true]);
  });
});

describe('/docs/custom-requests', () => {
  test('says whom to ask, in the words that agents read too', async () => {
    const page = await get('/docs/custom-requests');
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    const words = (text: string) => text.replaceAll(/<[^>]*>|`/g, '').replaceAll(/\s+/g, ' ');
    const [, section = ''] = (await (await get('/llms.txt')).text()).split('## Ask for more\n');
    const [first = ''] = section.trim().split('\n');
    expect(first.length).toBeGreaterThan(100);
    expect(words(await page.text())).toContain(words(first));
  });
});

describe('/openapi.json', () => {
  test('has the routes of all contracts and of the pages themselves', async () => {
    const reply = await get('/openapi.json');
    expect(reply.headers.get('content-type')).toMatch(/^application\/json/);
    const document = (await reply.json()) as { paths: Record<string, unknown>; servers: unknown };
    const paths = new Set(
      world.apis.flatMap((api) => api.routes.map(({ path }) => path.replaceAll(/:(\w+)/g, '{$1}'))),
    );
    expect(new Set(Object.keys(document.paths))).toEqual(paths);
    expect(document.servers).toEqual([{ url: 'https://freehold.test' }]);
  });
});

describe('/health', () => {
  test('answers both contracts’ fields', async () => {
    const reply = await get('/health');
    expect(reply.status).toBe(200);
    expect(await reply.json()).toEqual({
      status: 'ok',
      database: 'connected',
      service: 'freehold',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/),
    });
  });

  test('says so with a 503 when the database does not answer', async () => {
    const health = () => Promise.reject(new Error('no database'));
    const api = webApi({
      apis: [],
      publicUrl: () => 'https://freehold.test',
      version: '1.2.3',
      health,
      metrics: async () => '',
      sharedTrade: () => Promise.reject(new Error('nobody asks')),
      portraits: world.grid.portraits,
      transmissions: { dir: '/nonexistent', onBadFile: () => {} },
    });
    const route = api.routes.find(({ path }) => path === '/health');
    const answer = await route?.handle(systemOp(), { params: {}, query: {}, body: undefined });
    expect(answer).toMatchObject({
      status: 503,
      body: { status: 'error', database: 'disconnected' },
      headers: { 'retry-after': '5' },
    });
  });
});

describe('/metrics', () => {
  test('is open to programs on this host', async () => {
    const reply = await get('/metrics');
    expect([reply.status, reply.headers.get('content-type')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ]);
  });

  test.each(['x-forwarded-for', 'forwarded', 'x-real-ip', 'via'])(
    'needs the admin key where a proxy passed the request on (%s)',
    async (name) => {
      const through = { [name]: '203.0.113.7' };
      expect((await get('/metrics', through)).status).toBe(401);
      const agent = await world.register();
      expect((await get('/metrics', { ...through, authorization: `Bearer ${agent.key}` })).status).toBe(401);
      expect((await get('/metrics', { ...through, authorization: `Bearer ${ADMIN_KEY}` })).status).toBe(200);
    },
  );
});

test('/robots.txt lets crawlers read the pages and not the contracts', async () => {
  expect(await (await get('/robots.txt')).text()).toMatch(/^User-agent: \*\nAllow: \/\nDisallow: \/v1\/\n/);
});

test('an error on a page’s path has the shape of all errors', async () => {
  const reply = await fetch(`${world.origin}/docs`, { method: 'POST' });
  expect([reply.status, await reply.json()]).toEqual([405, { error: 'Method not allowed' }]);
  expect(reply.headers.get('allow')).toBe('GET');
});
