import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as ask } from 'node:http';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, request, type Agent, type Reply } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { prepareTestHost } from '../machines/host.ts';
import { freePorts } from '../ssh/ports.ts';
import { openBrowser, watchedPage } from '../web/browser.ts';
import { visit } from './client.ts';
import { textOf } from './world.ts';

const LARGE = 20_000_000;
const PORT = 3_000;

/** A tenant's application in a machine: pages, cookies, events, a mirror, and a protocol of its own. */
const APPLICATION = `
const page = '<!doctype html><title>Shop</title><h1>Shop</h1><p id=events></p><script>' +
  'new EventSource("/events").onmessage = (e) => { document.getElementById("events").textContent += e.data; };</script>';
require('node:http').createServer((asked, answer) => {
  if (asked.url === '/events') {
    answer.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const [index, word] of ['one', 'two'].entries()) setTimeout(() => answer.write('data: ' + word + '\\n\\n'), index * 100);
    return;
  }
  if (asked.method === 'POST') return asked.pipe(answer);
  answer.setHeader('set-cookie', ['mine=1', 'site=1; Domain=apps.localhost']);
  answer.setHeader('content-type', 'text/html');
  answer.end(page + JSON.stringify(asked.headers));
}).on('upgrade', (asked, socket, head) => {
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: echo\\r\\nConnection: Upgrade\\r\\n\\r\\n');
  socket.write(head);
  socket.pipe(socket);
}).listen(${PORT}, '127.0.0.1');
`;

let server: TestServer;
let agent: Agent;
let browser: Browser;
let port: number;

beforeAll(async () => {
  await prepareTestHost();
  const { first, last } = await freePorts(2);
  server = await testServer({ FREEHOLD_SSH_PORTS: `${first}-${last}` });
  port = Number(new URL(server.url).port);
  agent = await server.agent(10_000);
  browser = await openBrowser();
}, 900_000);
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

const call = (method: string, path: string, body?: unknown): Promise<Reply> =>
  request(server.url, method, `/v1/sandboxes${path}`, { key: agent.key, ...(body !== undefined && { body }) });

/** A sandbox with the application; answers its id and the name of its port. */
async function shop(
  options: object = {},
  exposed: object = {},
): Promise<{ id: string; host: string; body: Reply['body'] }> {
  const { body: sandbox } = await call('POST', '', options);
  const { id } = sandbox;
  expect((await call('POST', `/${id}/files`, { path: 'shop.js', content: APPLICATION })).status).toBe(201);
  const started = await call('POST', `/${id}/exec`, {
    command: `setsid node shop.js > shop.log 2>&1 & for i in $(seq 100); do sleep 0.05; curl -s -o /dev/null localhost:${PORT} && exit; done`,
  });
  expect(started.status).toBe(200);
  const { body } = await call('POST', `/${id}/ports`, { port: PORT, ...exposed });
  return { id, host: new URL(body.public_url).hostname, body };
}

/** Visits to tenants' ports so far, as the operator's monitoring reads them. */
async function visitsCounted(): Promise<(kind: string, outcome: string) => number> {
  const { body } = await request(server.url, 'GET', '/metrics', { key: server.adminKey });
  return (kind, outcome) => {
    const line = `freehold_proxied_requests_total{kind="${kind}",outcome="${outcome}"} `;
    return Number(String(body).split(line)[1]?.split('\n')[0] ?? 0);
  };
}

describe('a port of a real machine', () => {
  test('is a page in a browser, at a name of its own, with events and its own cookies only', async () => {
    const { id, body } = await shop({}, { subdomain: 'test-shop' });
    const { page, complaints, close } = await watchedPage(browser);
    await page.goto(body.custom_url);
    await page.waitForFunction(`document.getElementById('events').textContent === 'onetwo'`);
    expect(await page.title()).toBe('Shop');
    const cookies = await page.context().cookies();
    expect(cookies.map(({ name, domain }) => [name, domain])).toEqual([
      ['mine', 'test-shop.apps.localhost'],
      ['site', 'test-shop.apps.localhost'],
    ]);
    await page.goto(body.custom_url.replace('test-shop', 'another-shop'));
    expect(await page.title()).toBe('Nothing lives here – Freehold');
    expect(complaints.filter((text) => !text.includes('404'))).toEqual([]);
    await close();
    await call('DELETE', `/${id}`);
    expect((await visit(port, 'test-shop.apps.localhost')).status).toBe(404);
  });

  test('takes and gives 20 MB, and speaks protocols of its own', async () => {
    const { id, host } = await shop();
    const sent = randomBytes(LARGE);
    const asked = ask({ port, host: '127.0.0.1', method: 'POST', headers: { host } });
    asked.end(sent);
    const [answer] = await once(asked, 'response');
    const hash = createHash('sha256');
    for await (const chunk of answer) hash.update(chunk);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'));
    const upgrade = ask({
      port,
      host: '127.0.0.1',
      headers: { host, connection: 'upgrade', upgrade: 'echo' },
    }).end();
    const [, socket] = await once(upgrade, 'upgrade');
    socket.write('hello');
    const [echoed] = await once(socket, 'data');
    expect(echoed.toString()).toBe('hello');
    socket.destroy();
    await call('DELETE', `/${id}`);
  });

  test('that nobody listens on is 502, and so is one of a sandbox that rests or is gone', async () => {
    const { id, host } = await shop();
    await call('POST', `/${id}/ports`, { port: 9_999 });
    const closed = await visit(port, host.replace(String(PORT), '9999'));
    expect([closed.status, JSON.parse(closed.body)]).toMatchObject([502, { port: 9_999, code: 502 }]);
    expect((await visit(port, host.replace(String(PORT), '9998'))).status).toBe(502);
    await call('POST', `/${id}/pause`, {});
    expect((await visit(port, host)).status).toBe(502);
    await call('POST', `/${id}/resume`, {});
    expect((await visit(port, host)).status).toBe(200);
    await call('DELETE', `/${id}`);
    expect((await visit(port, host)).status).toBe(502);
  });

  test('that is private opens for its token', async () => {
    const { id, host, body } = await shop({}, { visibility: 'private' });
    expect((await visit(port, host)).status).toBe(403);
    const headers = { 'e2b-traffic-access-token': body.access_token };
    const seen = await visit(port, host, '/', { headers });
    expect(seen.status).toBe(200);
    expect(seen.body).not.toContain(body.access_token);
    await call('DELETE', `/${id}`);
  });

  test('is counted in the figures of the server: what was passed on, and what was refused, requests and tunnels', async () => {
    const { id, host } = await shop();
    await call('POST', `/${id}/ports`, { port: 9_999 });
    const closed = host.replace(String(PORT), '9999');
    const upgraded = async (name: string) => {
      const headers = { host: name, connection: 'upgrade', upgrade: 'echo' };
      const asked = ask({ port, host: '127.0.0.1', headers }).end();
      const [answer, socket] = await Promise.race([once(asked, 'upgrade'), once(asked, 'response')]);
      (socket ?? answer).destroy();
    };
    const before = await visitsCounted();
    for (const name of [host, host, closed]) await visit(port, name);
    for (const name of [host, closed]) await upgraded(name);
    const counted = { request: { passed: 2, refused: 1 }, tunnel: { passed: 1, refused: 1 } };
    // A tunnel counts when it is over.
    await eventually(visitsCounted, (now) => now('tunnel', 'passed') === before('tunnel', 'passed') + 1, 5_000);
    const after = await visitsCounted();
    for (const [kind, outcomes] of Object.entries(counted))
      for (const [outcome, count] of Object.entries(outcomes))
        expect([kind, outcome, after(kind, outcome) - before(kind, outcome)]).toEqual([kind, outcome, count]);
    await call('DELETE', `/${id}`);
  });

  test('wakes its sandbox, which goes on where it was', async () => {
    const { id, host } = await shop({ timeout_seconds: 600, on_timeout: 'pause', auto_resume: true });
    await call('POST', `/${id}/timeout`, { timeout_seconds: 0 });
    await eventually(
      async () => (await call('GET', `/${id}`)).body.status,
      (status) => status === 'paused',
    );
    const seen = await visit(port, host);
    expect(seen.status).toBe(200);
    expect((await call('GET', `/${id}`)).body.status).toBe('running');
    await call('DELETE', `/${id}`);
  });

  test('ends what is open when its sandbox ends', async () => {
    const { id, host } = await shop();
    const asked = ask({ port, host: '127.0.0.1', path: '/events', headers: { host } }).end();
    const [answer] = await once(asked, 'response');
    await once(answer, 'data');
    const ended = textOf(answer).catch((error: Error) => error.message);
    await call('DELETE', `/${id}`);
    expect(await ended).toBe('aborted');
  });
});
