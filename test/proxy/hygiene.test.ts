import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { raw, visit } from './client.ts';
import { CODE, proxyWorld, textOf, TOKEN, type ProxyWorld } from './world.ts';

let world: ProxyWorld;
/** Answers with the headers and the body that it saw. */
let mirror: number;
/** Answers with the headers that its query names. */
let speaker: number;

beforeAll(async () => {
  world = await proxyWorld();
  mirror = await world.application((asked, answer) => {
    textOf(asked).then(
      (body) => answer.end(JSON.stringify({ headers: asked.headersDistinct, body })),
      () => {}, // broken off
    );
  });
  speaker = await world.application((asked, answer) => {
    const query = new URL(asked.url ?? '', 'http://application').searchParams;
    for (const name of new Set(query.keys())) answer.setHeader(name, query.getAll(name));
    answer.end('spoken');
  });
});
afterAll(() => world.close());

const headersSeen = async (headers: Record<string, string>): Promise<Record<string, string[]>> =>
  JSON.parse((await visit(world.port, world.hostOf(mirror), '/', { headers })).body).headers;

const spoken = async (query: Record<string, string>, host = world.hostOf(speaker)) =>
  (await visit(world.port, host, `/?${new URLSearchParams(query).toString()}`)).headers;

describe('what an application is told of its visitor', () => {
  test('is our word, never the visitor’s own', async () => {
    const seen = await headersSeen({
      'x-forwarded-for': '8.8.8.8',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'elsewhere',
      'x-forwarded-anything': 'x',
      x_forwarded_for: '8.8.4.4',
      forwarded: 'for=8.8.8.8',
      'x-real-ip': '8.8.8.8',
      'true-client-ip': '8.8.8.8',
      connection: 'x-forwarded-for, x-real-ip, x-mine',
      'x-mine': 'of this connection only',
    });
    const about = Object.entries(seen).filter(([name]) => /forward|real|client|mine/.test(name));
    expect(Object.fromEntries(about)).toEqual({
      'x-forwarded-for': ['127.0.0.1'],
      'x-forwarded-host': [world.hostOf(mirror)],
      'x-forwarded-proto': ['http'],
      'x-real-ip': ['127.0.0.1'],
    });
    expect(seen['host']).toEqual([world.hostOf(mirror)]);
  });

  test('has none of our credentials, and all of its own', async () => {
    const seen = await headersSeen({
      'X-API-KEY': 'bod_live_secret',
      'X-Access-Token': 'secret',
      X_Access_Token: 'secret',
      'E2b-Traffic-Access-Token': TOKEN,
      'X-Internal-API-Key': 'e2b_secret',
      authorization: 'Bearer of-the-application',
      cookie: 'session=1; b=2',
      'x-request-id': 'mine-1',
    });
    expect(JSON.stringify(seen)).not.toMatch(/secret|token-of-the-traffic/);
    expect(seen['authorization']).toEqual(['Bearer of-the-application']);
    expect(seen['cookie']).toEqual(['session=1; b=2']);
    expect(seen['x-request-id']).toEqual(['mine-1']);
  });

  test('the keys of its own users, which are not ours', async () => {
    const seen = await headersSeen({ 'X-API-Key': 'sk-of-the-application', 'X-Internal-API-Key': 'another' });
    expect(seen['x-api-key']).toEqual(['sk-of-the-application']);
    expect(seen['x-internal-api-key']).toEqual(['another']);
  });

  test('nothing of the connection to us', async () => {
    const seen = await headersSeen({
      'keep-alive': 'timeout=9',
      'proxy-authorization': 'Basic x',
      'proxy-connection': 'keep-alive',
      te: 'gzip',
    });
    expect(Object.keys(seen).filter((name) => /keep-alive|proxy|^te$/.test(name))).toEqual([]);
  });

  test('the name that its owner has chosen for it, where there is one', async () => {
    const network = { ...world.addSandbox('masked').network, maskRequestHost: 'localhost:${PORT}' };
    world.addSandbox('masked', { network });
    const { body } = await visit(world.port, world.hostOf(mirror, 'masked'));
    expect(JSON.parse(body).headers).toMatchObject({
      host: [`localhost:${mirror}`],
      'x-forwarded-host': [world.hostOf(mirror, 'masked')],
    });
  });

  test('the address behind a proxy that the operator trusts, and of no other', async () => {
    const trusting = await proxyWorld({ trustProxy: ['loopback', '10.0.0.0/8'] });
    const port = await trusting.application((asked, answer) => answer.end(JSON.stringify(asked.headers)));
    const headers = { 'x-forwarded-for': '6.6.6.6, 8.8.8.8, 10.1.2.3', 'x-forwarded-proto': 'http, https' };
    const { body } = await visit(trusting.port, trusting.hostOf(port), '/', { headers });
    expect(JSON.parse(body)).toMatchObject({ 'x-forwarded-for': '8.8.8.8', 'x-forwarded-proto': 'https' });
    await trusting.close();
  });
});

describe('what an application tells a browser', () => {
  test.each([
    'sid=1; Path=/; Domain=apps.test; HttpOnly',
    'sid=1; Path=/; domain=.apps.test; HttpOnly',
    'sid=1; Path=/; DOMAIN = test ; HttpOnly',
    'sid=1; Path=/; Domain=.TEST; HttpOnly',
    'sid=1; Path=/; Domain=elsewhere.apps.test; HttpOnly',
    'sid=1; Path=/; Domain; HttpOnly',
    'sid=1; Path=/; Domain="apps.test"; HttpOnly',
  ])('a cookie is its own alone: %s', async (cookie) => {
    expect((await spoken({ 'set-cookie': cookie }))['set-cookie']).toEqual(['sid=1; Path=/; HttpOnly']);
  });

  test('a cookie for its own name stays as it is, and so do several', async () => {
    const host = world.hostOf(speaker);
    const query = new URLSearchParams([
      ['set-cookie', `a=1; Domain=${host}`],
      ['set-cookie', 'b=domain=apps.test'],
    ]);
    const { headers } = await visit(world.port, host, `/?${query.toString()}`);
    expect(headers['set-cookie']).toEqual([`a=1; Domain=${host}`, 'b=domain=apps.test']);
  });

  test('nothing that reaches the names of others', async () => {
    const seen = await spoken({ 'clear-site-data': '"cookies"', 'alt-svc': 'h2=":22000"', 'x-own': 'stays' });
    expect([seen['clear-site-data'], seen['alt-svc'], seen['x-own']]).toEqual([undefined, undefined, 'stays']);
  });

  test('at the server’s own origin nothing but data', async () => {
    const query = new URLSearchParams({
      'set-cookie': 'admin=1',
      'access-control-allow-origin': '*',
      'content-security-policy': 'script-src *',
      'content-type': 'text/html',
    });
    const headers = { 'e2b-sandbox-id': CODE, 'e2b-sandbox-port': String(speaker) };
    const seen = await visit(world.port, 'localhost', `/?${query.toString()}`, { headers });
    expect(seen.body).toBe('spoken');
    expect(seen.headers).toMatchObject({
      'content-security-policy': "sandbox; default-src 'none'",
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    });
    expect(seen.headers).not.toHaveProperty('set-cookie');
    expect(seen.headers).not.toHaveProperty('access-control-allow-origin');
  });
});

describe('one request is one request', () => {
  const hidden = 'GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n';
  const attacks: [string, (host: string) => string][] = [
    [
      'Content-Length and Transfer-Encoding',
      (host) =>
        `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
    ],
    [
      'two lengths',
      (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\nContent-Length: 35\r\n\r\n${hidden}`,
    ],
    ['a length with a sign', (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: +4\r\n\r\nabcd`],
    [
      'an unknown coding',
      (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${hidden}`,
    ],
    [
      'chunked, but not last',
      (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${hidden}`,
    ],
    [
      'a space before the colon',
      (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${hidden}`,
    ],
    ['a folded header', (host) => `GET / HTTP/1.1\r\nHost: ${host}\r\nX-A: 1\r\n Content-Length: 9\r\n\r\n`],
    [
      'a chunk with a bad size',
      (host) => `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n`,
    ],
    ['line feeds alone', (host) => `GET / HTTP/1.1\nHost: ${host}\nX: y\n\n`],
    ['two hosts', (host) => `GET / HTTP/1.1\r\nHost: ${host}\r\nHost: localhost\r\n\r\n`],
    ['another name in the target', (host) => `GET http://localhost/own HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
    ['a header with a NUL', (host) => `GET / HTTP/1.1\r\nHost: ${host}\r\nX-A: a\0b\r\n\r\n`],
  ];

  test.each(attacks)('%s: refused', async (_, attack) => {
    const seen = await raw(world.port, attack(world.hostOf(mirror)));
    expect(seen).toMatch(/^HTTP\/1\.1 (400|501) |^$/);
    expect(seen.match(/HTTP\/1\.1 \d/g)?.length ?? 0).toBeLessThanOrEqual(1);
  });

  test('a declared Content-Length of the connection still frames the body', async () => {
    const text = `GET / HTTP/1.1\r\nHost: ${world.hostOf(mirror)}\r\nConnection: content-length\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`;
    const seen = await raw(world.port, text);
    expect(seen.match(/HTTP\/1\.1 200/g)).toHaveLength(1);
    expect(JSON.parse(seen.slice(seen.indexOf('\r\n\r\n')).match(/\{.*\}/s)?.[0] ?? '')).toMatchObject({
      body: hidden,
    });
  });

  test('several coded transfers are decoded by nobody else than their last reader', async () => {
    const text = `POST / HTTP/1.1\r\nHost: ${world.hostOf(mirror)}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`;
    expect(await raw(world.port, text)).toMatch(/^HTTP\/1\.1 (400|501) /);
  });

  test('an answer that is framed twice is no answer', async () => {
    const port = await world.application(
      () => {},
      (server) =>
        server.on('connection', (socket) =>
          socket.once('data', () =>
            socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
          ),
        ),
    );
    expect((await visit(world.port, world.hostOf(port))).status).toBe(502);
  });

  test('what an application sends unasked reaches nobody', async () => {
    const port = await world.application(
      () => {},
      (server) =>
        server.on('connection', (socket) =>
          socket.on('data', () =>
            socket.write(
              'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil',
            ),
          ),
        ),
    );
    const host = world.hostOf(port);
    for (let round = 0; round < 3; round += 1) {
      const { status, body } = await visit(world.port, host);
      expect(status === 502 ? 'ok' : body).toBe('ok');
    }
  });
});
