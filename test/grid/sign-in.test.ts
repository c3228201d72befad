import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requestLimits } from '../../src/platform/limits.ts';
import { ADMIN_KEY, startApis, type TestApis } from '../harness/apis.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { openBrowser, watchedPage } from '../web/browser.ts';
import { registerNode } from './node.ts';
import { HOUR_MS } from './trades.ts';

const DASHBOARD = '/v1/admin/dashboard';
const HTML = { accept: 'text/html,application/xhtml+xml' };
const CHROME = { 'user-agent': 'Mozilla/5.0 (X11; Linux x64) Chrome/130.0 Safari/537.36' };

let world: TestApis;
let server: TestServer;
let browser: Browser;
beforeAll(async () => {
  [world, server, browser] = await Promise.all([startApis(), testServer(), openBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  await world?.close();
});

type Sent = { headers?: Record<string, string>; body?: string; path?: string; method?: string; origin?: string };

/** As a browser sends it: redirects are not followed. */
const send = ({ headers = {}, body, path = DASHBOARD, method = 'GET', origin = world.origin }: Sent) =>
  fetch(origin + path, { method, headers, redirect: 'manual', ...(body !== undefined && { body }) });
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const signIn = (key: string, headers: Record<string, string> = {}, origin = world.origin) =>
  send({ method: 'POST', headers: { ...FORM, ...headers }, body: new URLSearchParams({ key }).toString(), origin });

/** The cookie of a fresh sign-in, as it is sent back. */
async function cookieOf(): Promise<string> {
  const reply = await signIn(ADMIN_KEY);
  return reply.headers.get('set-cookie')?.split(';')[0] ?? '';
}

describe('an operator in a browser', () => {
  test('signs in with the key, looks, and signs out', async () => {
    const { page, complaints, requested, close } = await watchedPage(browser);
    await page.goto(server.url + DASHBOARD);
    expect(await page.title()).toBe('Sign in – Freehold');
    await page.getByLabel('Admin key').fill('not the key');
    await page.getByRole('button', { name: 'Sign in' }).click();
    expect(await page.getByRole('alert').textContent()).toBe('That is not the admin key.');
    await page.getByLabel('Admin key').fill(server.adminKey);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('The books add up').waitFor();
    expect(page.url()).toBe(server.url + DASHBOARD);
    await page.reload();
    expect(await page.title()).toBe('The grid – Freehold');
    const [cookie] = await page.context().cookies();
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: DASHBOARD, secure: false });
    expect(await page.evaluate('document.cookie')).toBe('');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Admin key').waitFor();
    expect(await page.context().cookies()).toEqual([]);
    // What it stood for is gone as well, not only the browser's copy of it.
    const stolen = `${cookie?.name}=${cookie?.value}`;
    expect((await send({ headers: { cookie: stolen }, origin: server.url })).status).toBe(401);
    expect(requested.join(' ')).not.toContain(server.adminKey);
    // A browser tells of the page that was refused; of nothing else.
    expect(complaints.filter((complaint) => !complaint.includes('401'))).toEqual([]);
    await close();
  });

  test.each([360, 1440])('is asked for the key on a page that fits %i pixels in light and dark', async (width) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, requested, close } = await watchedPage(browser, {
        colorScheme,
        viewport: { width, height: 800 },
      });
      await page.goto(server.url + DASHBOARD);
      expect(requested.filter((url) => url !== server.url + DASHBOARD && !url.startsWith('data:'))).toEqual([]);
      expect(
        await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth'),
      ).toBeLessThanOrEqual(0);
      const shots = process.env['FREEHOLD_TEST_SHOTS'];
      if (shots) await page.screenshot({ path: `${shots}/sign-in-${width}-${colorScheme}.png` });
      await close();
    }
  });
});

describe('the cookie', () => {
  test('holds for an hour, only there, out of reach of scripts and of other sites, and over TLS where there is TLS', async () => {
    const reply = await signIn(ADMIN_KEY);
    expect([reply.status, reply.headers.get('location')]).toEqual([303, DASHBOARD]);
    expect(reply.headers.get('set-cookie')).toMatch(
      /^freehold_operator=[\w-]{43}; Path=\/v1\/admin\/dashboard; Max-Age=3600; HttpOnly; SameSite=Strict; Secure$/,
    );
    expect(await reply.text()).toBe('');
  });

  test('opens the dashboard, and nothing else at all', async () => {
    const headers = { cookie: await cookieOf() };
    expect((await send({ headers })).status).toBe(200);
    const others = world.apis
      .flatMap((api) => api.routes)
      .filter(({ access, path }) => access !== 'public' && path !== DASHBOARD && path !== '/metrics');
    expect(others.length).toBeGreaterThan(100);
    for (const { method, path } of others)
      expect([path, (await send({ headers, method, path: path.replaceAll(/:\w+/g, 'x') })).status]).toEqual([
        path,
        401,
      ]);
    for (const path of ['/v1/admin/stats', '/v1/admin/ledger/reconcile', '/v1/admin/export/tasks/csv'])
      expect([path, (await send({ headers: { ...headers, ...CHROME }, path })).status]).toEqual([path, 406]);
  });

  test('is over after an hour, and the key is asked for again', async () => {
    const cookie = await cookieOf();
    world.clock.advance(HOUR_MS - 60_000);
    expect((await send({ headers: { cookie } })).status).toBe(200);
    world.clock.advance(120_000);
    const reply = await send({ headers: { cookie, ...HTML, ...CHROME } });
    expect([reply.status, reply.headers.get('content-type')]).toEqual([401, 'text/html; charset=utf-8']);
    expect(await reply.text()).toContain('Admin key');
  });

  test('is forgotten where it is over', async () => {
    await cookieOf();
    const count = async () =>
      (await world.db.query<{ count: bigint }>(`select count(*) from operator_sessions`))[0]?.count;
    expect(await count()).not.toBe(0n);
    world.clock.advance(2 * HOUR_MS);
    await world.identity.forgetExpired({
      actor: { kind: 'system', name: 'test' },
      requestId: 'test',
      now: world.clock.now(),
      signal: new AbortController().signal,
    });
    expect(await count()).toBe(0n);
  });

  test('does not make a wrong bearer right, and is kept nowhere as it is', async () => {
    const cookie = await cookieOf();
    expect((await send({ headers: { cookie, authorization: 'Bearer wrong' } })).status).toBe(401);
    const rows = await world.db.query(`select * from operator_sessions`);
    expect(JSON.stringify(rows)).not.toContain(cookie.split('=')[1]);
  });

  test.each(['', 'x', 'x'.repeat(5_000), '%00', 'a=b; freehold_operator=', ';;;='])(
    'that is none of ours opens nothing: %j',
    async (value) => {
      expect((await send({ headers: { cookie: `freehold_operator=${value}` } })).status).toBe(401);
    },
  );

  test('of one sign-in goes on when another signs out', async () => {
    const [mine, yours] = [await cookieOf(), await cookieOf()];
    const reply = await send({ method: 'POST', path: `${DASHBOARD}/sign-out`, headers: { cookie: yours } });
    expect([reply.status, reply.headers.get('set-cookie')]).toEqual([303, expect.stringContaining('Max-Age=0')]);
    expect((await send({ headers: { cookie: yours } })).status).toBe(401);
    expect((await send({ headers: { cookie: mine } })).status).toBe(200);
  });
});

describe('signing in', () => {
  test.each([['wrong'], [''], [`${ADMIN_KEY}x`], [ADMIN_KEY.toUpperCase()]])(
    'with %j sets no cookie and asks again',
    async (key) => {
      const reply = await signIn(key);
      expect([reply.status, reply.headers.get('set-cookie')]).toEqual([401, null]);
      expect(await reply.text()).toContain('That is not the admin key.');
    },
  );

  test('with the key of a node lets nobody in', async () => {
    const node = await registerNode(world);
    expect((await signIn(node.key)).status).toBe(401);
  });

  test('from another site is refused, the right key or not', async () => {
    const reply = await signIn(ADMIN_KEY, { 'sec-fetch-site': 'cross-site' });
    expect([reply.status, reply.headers.get('set-cookie')]).toEqual([403, null]);
    const out = { method: 'POST', path: `${DASHBOARD}/sign-out`, headers: { 'sec-fetch-site': 'same-site' } };
    expect((await send(out)).status).toBe(403);
  });

  test.each([
    ['JSON', { 'content-type': 'application/json' }, '{"key":"x"}', 415],
    ['nothing that it names', {}, '', 415],
    ['more than any key is', FORM, `key=${'x'.repeat(10_000)}`, 413],
    ['no key', FORM, 'name=value', 401],
    ['bytes that are no text', FORM, 'key=%00%FF%ED%A0%80', 401],
  ])('with %s is refused with the page', async (_what, headers, body, status) => {
    const reply = await send({ method: 'POST', headers, body });
    expect([reply.status, reply.headers.get('content-type')]).toEqual([status, 'text/html; charset=utf-8']);
  });

  test('is tried five times a minute by one network', async () => {
    const limited = await startApis({ limits: requestLimits, over: world });
    const statuses = [];
    for (let n = 0; n < 6; n++) statuses.push((await signIn('wrong', {}, limited.origin)).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
    const right = await signIn(ADMIN_KEY, {}, limited.origin);
    expect([right.status, Number(right.headers.get('retry-after'))]).toEqual([429, expect.any(Number)]);
    expect(await right.text()).toContain('Too many attempts.');
    await limited.close();
  });

  test('sends no credential in an address: there it is refused, as everywhere', async () => {
    const reply = await send({ path: `${DASHBOARD}?key=${ADMIN_KEY}`, headers: HTML });
    expect(reply.status).toBe(422);
  });
});

describe('a program', () => {
  test('has the page with its bearer', async () => {
    const reply = await send({ headers: { authorization: `Bearer ${ADMIN_KEY}` } });
    expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(reply.headers.get('cache-control')).toBe('no-store');
  });

  test('is told in JSON what is wrong with its credential', async () => {
    const ask = async (headers: Record<string, string>) => (await send({ headers })).json();
    expect(await ask({})).toEqual({ detail: 'Missing admin Authorization header' });
    expect(await ask({ authorization: 'Bearer wrong' })).toEqual({ detail: 'Unauthorized' });
  });
});

test('pages and forms have the headers of the grid, and a policy that lets nothing else be loaded or sent to', async () => {
  for (const reply of [await send({ headers: HTML }), await signIn('wrong'), await signIn(ADMIN_KEY)]) {
    expect([reply.headers.get('vmp-version'), reply.headers.get('x-request-id')]).toEqual([
      '2026-03-18',
      expect.any(String),
    ]);
    if (reply.status === 303) continue;
    const policy = reply.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; img-src data:; /);
    expect(policy).toContain("form-action 'self'; frame-ancestors 'none'");
  }
});
