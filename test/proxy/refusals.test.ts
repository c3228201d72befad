import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MAX_OPEN } from '../../src/proxy/lanes.ts';
import { visit } from './client.ts';
import { APPS, CODE, proxyWorld, TOKEN, type ProxyWorld } from './world.ts';

/** Nobody listens there: the port is one of the system's own. */
const CLOSED = 1;

let world: ProxyWorld;
let open: number;
beforeAll(async () => {
  world = await proxyWorld();
  open = await world.application((asked, answer) => answer.end(`application ${asked.url}`));
});
afterAll(() => world.close());

describe('names', () => {
  test('of ports lead to sandboxes, whatever the case and the port behind them', async () => {
    expect((await visit(world.port, world.hostOf(open), '/x')).body).toBe('application /x');
    expect((await visit(world.port, `${world.hostOf(open).toUpperCase()}.:8080`, '/x')).body).toBe('application /x');
  });

  test('that were exposed lead to their port', async () => {
    world.names.set('shop', { sandbox: world.addSandbox(CODE), port: open, visibility: 'public' });
    expect((await visit(world.port, `shop.${APPS}`)).body).toBe('application /');
  });

  test.each(['nobody', 'a.b', '-x', APPS.slice(0, -5)])('that nobody has are 404: %s', async (label) => {
    expect((await visit(world.port, `${label}.${APPS}`, '/own')).status).toBe(404);
  });

  test('of tenants never show the server’s own routes, and its own never a tenant', async () => {
    expect((await visit(world.port, APPS, '/own')).status).toBe(404);
    expect((await visit(world.port, world.hostOf(open), '/own')).body).toBe('application /own');
    expect(JSON.parse((await visit(world.port, 'localhost', '/own')).body)).toMatchObject({ own: true });
    expect(JSON.parse((await visit(world.port, `x${APPS}`, '/own')).body)).toMatchObject({ own: true });
  });

  test('of the interpreter of a sandbox lead to ours where it has one, and to its own port where not', async () => {
    const port = 49_999;
    const code = 'interpreting000000000';
    world.addSandbox(code, { interpreter: true });
    const headers = { 'e2b-sandbox-id': code, 'e2b-sandbox-port': String(port) };
    const here = { code: '/e2b/code/execute?a', sandbox: code };
    const byName = await visit(world.port, `${port}-${code}.${APPS}`, '/execute?a', {
      headers: { 'e2b-sandbox-id': 'another' },
    });
    expect(JSON.parse(byName.body)).toEqual(here);
    for (const path of ['/execute?a', '/e2b/envd/execute?a'])
      expect(JSON.parse((await visit(world.port, '127.0.0.1', path, { headers })).body)).toEqual(here);
    expect((await visit(world.port, `${port}-${CODE}.${APPS}`, '/execute')).status).toBe(502);
    expect((await visit(world.port, `80-${code}.${APPS}`, '/execute')).status).toBe(502);
    expect((await visit(world.port, `${port}-${code}.${APPS}`, '/../../own')).body).not.toMatch(/"own"/);
  });

  test('of the interface of a sandbox lead to ours, with the sandbox named', async () => {
    const seen = await visit(world.port, `49983-${CODE}.${APPS}`, '/files?path=a', {
      headers: { 'e2b-sandbox-id': 'another' },
    });
    expect(JSON.parse(seen.body)).toEqual({ envd: '/e2b/envd/files?path=a', sandbox: CODE });
    const out = await visit(world.port, `49983-${CODE}.${APPS}`, '/../../own');
    expect(out.body).not.toMatch(/"own"/);
  });
});

describe('the pair of headers at the server’s own name', () => {
  const pair = (id: string, port: number | string) => ({ 'e2b-sandbox-id': id, 'e2b-sandbox-port': String(port) });

  test('leads to a port, with or without the prefix of the shared URL', async () => {
    const headers = pair(CODE, open);
    expect((await visit(world.port, '127.0.0.1', '/x?y', { headers })).body).toBe('application /x?y');
    expect((await visit(world.port, '127.0.0.1', '/e2b/envd/x', { headers })).body).toBe('application /x');
  });

  test('one without the other, or no port, is 400', async () => {
    for (const headers of [
      { 'e2b-sandbox-id': CODE },
      { 'e2b-sandbox-port': '80' },
      pair(CODE, 0),
      pair(CODE, 65_536),
      pair(CODE, '8o'),
      pair('../x', 80),
    ])
      expect((await visit(world.port, 'localhost', '/', { headers })).status).toBe(400);
  });

  test('with the port of its interface is ours', async () => {
    for (const path of ['/health', '/e2b/envd/health'])
      expect(JSON.parse((await visit(world.port, 'localhost', path, { headers: pair(CODE, 49_983) })).body)).toEqual({
        envd: '/e2b/envd/health',
        sandbox: CODE,
      });
  });
});

describe('what cannot be shown', () => {
  test('a closed port is 502, as JSON for programs', async () => {
    const { status, body, headers } = await visit(world.port, world.hostOf(CLOSED));
    expect([status, headers['content-type']]).toEqual([502, 'application/json; charset=utf-8']);
    expect(JSON.parse(body)).toEqual({
      sandboxId: CODE,
      message: 'The sandbox is running but port is not open',
      port: CLOSED,
      code: 502,
    });
  });

  test('and a page for people, which may load and run nothing', async () => {
    const headers = { accept: 'text/html,application/xhtml+xml' };
    const seen = await visit(world.port, world.hostOf(CLOSED), '/', { headers });
    expect([seen.status, seen.headers['content-type']]).toEqual([502, 'text/html; charset=utf-8']);
    expect(seen.body).toContain('Nothing listens here yet');
    expect(seen.headers['content-security-policy']).toContain("default-src 'none'");
    expect(seen.headers['cache-control']).toBe('no-store');
    expect((await visit(world.port, world.hostOf(CLOSED), '/', { headers, method: 'HEAD' })).body).toBe('');
  });

  test('a name in a page is text', async () => {
    const headers = { accept: 'text/html' };
    const { body } = await visit(world.port, `--.${APPS}`, '/', { headers });
    expect(body).toContain(`--.${APPS}`);
    expect((await visit(world.port, `<b>.${APPS}`, '/', { headers })).body).not.toContain('<b>.');
  });

  test('a sandbox that is not there, or rests, is 502 in the words of the contract', async () => {
    world.addSandbox('resting', { state: 'paused' });
    for (const code of ['nobody', 'resting']) {
      const { status, body } = await visit(world.port, world.hostOf(open, code));
      expect([status, JSON.parse(body)]).toEqual([
        502,
        { sandboxId: code, message: 'The sandbox was not found', code: 502 },
      ]);
    }
  });

  test('what speaks no HTTP, or hangs up, is 502', async () => {
    const mute = await world.application(
      () => {},
      (server) => server.on('connection', (socket) => socket.once('data', () => socket.end('SSH-2.0-x\r\n'))),
    );
    const gone = await world.application(
      () => {},
      (server) => server.on('connection', (socket) => socket.once('data', () => socket.destroy())),
    );
    for (const port of [mute, gone])
      expect((await visit(world.port, world.hostOf(port), '/', { method: 'POST', body: 'x' })).status).toBe(502);
  });
});

describe('private ports', () => {
  test('open for the traffic token alone', async () => {
    world.names.set('diary', { sandbox: world.addSandbox(CODE), port: open, visibility: 'private' });
    const { network } = world.addSandbox('hidden');
    world.addSandbox('hidden', { network: { ...network, publicTraffic: false } });
    for (const host of [`diary.${APPS}`, world.hostOf(open, 'hidden')]) {
      const { status, body } = await visit(world.port, host);
      expect([status, JSON.parse(body).code]).toEqual([403, 403]);
      const wrong = { 'e2b-traffic-access-token': `${TOKEN}x` };
      expect((await visit(world.port, host, '/', { headers: wrong })).status).toBe(403);
      const right = { 'e2b-traffic-access-token': TOKEN };
      expect((await visit(world.port, host, '/', { headers: right })).status).toBe(200);
    }
  });

  test('a stranger wakes nobody', async () => {
    const { network } = world.addSandbox('shy');
    const lifecycle = { onTimeout: 'pause', keepMemory: true, autoResume: true } as const;
    world.addSandbox('shy', { state: 'paused', lifecycle, network: { ...network, publicTraffic: false } });
    expect((await visit(world.port, world.hostOf(open, 'shy'))).status).toBe(403);
    expect(world.wakes).not.toContain('shy');
  });
});

describe('a sandbox that wakes by traffic', () => {
  const lifecycle = { onTimeout: 'pause', keepMemory: true, autoResume: true } as const;

  test('is woken and then visited', async () => {
    world.addSandbox('sleeper', { state: 'paused', lifecycle });
    expect((await visit(world.port, world.hostOf(open, 'sleeper'))).body).toBe('application /');
    expect(world.wakes).toContain('sleeper');
  });

  test('is asked again for a moment while it does not listen yet', async () => {
    world.addSandbox('slow', { state: 'paused', lifecycle });
    const started = performance.now();
    expect((await visit(world.port, world.hostOf(CLOSED, 'slow'))).status).toBe(502);
    expect(performance.now() - started).toBeGreaterThan(500);
    const again = performance.now();
    expect((await visit(world.port, world.hostOf(CLOSED, 'slow'))).status).toBe(502);
    expect(performance.now() - again).toBeLessThan(500);
  });
});

describe('one visitor who holds all that it may of a sandbox', () => {
  test('is refused as any who come to a full one, and leaves room for the others', async () => {
    const crowd = await proxyWorld({ trustProxy: ['loopback'] });
    const answers: ServerResponse[] = [];
    const port = await crowd.application((asked, answer) => {
      if (asked.url === '/') return void answer.end('here');
      answers.push(answer);
      answer.write('held');
    });
    const from = (address: string, path = '/') =>
      visit(crowd.port, crowd.hostOf(port), path, { headers: { 'x-forwarded-for': address } });
    const held = Array.from({ length: MAX_OPEN.network }, (_, index) => from(`2001:db8::${index + 1}`, '/hold'));
    await expect.poll(() => answers.length, { timeout: 10_000 }).toBe(MAX_OPEN.network);
    const refused = await from('2001:db8::ffff');
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
    expect(JSON.parse(refused.body)).toMatchObject({ message: 'The sandbox has too many open connections', code: 503 });
    expect((await from('2001:db8:0:1::1')).body).toBe('here');
    for (const answer of answers) answer.end();
    await Promise.all(held);
    expect((await from('2001:db8::ffff')).body).toBe('here');
    await crowd.close();
  });
});
