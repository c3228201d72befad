import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server as HttpServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { certificate, trustCertificate } from '../../test/webhooks/certificate.ts';
import { createFetch, type Resolve } from './fetch.ts';

const open: (Server | HttpServer)[] = [];
const sockets = new Set<Socket>();

async function listen<S extends Server | HttpServer>(
  server: S,
  host = '127.0.0.1',
  port = 0,
): Promise<{ server: S; port: number }> {
  server.listen(port, host);
  await once(server, 'listening');
  open.push(server);
  return { server, port: (server.address() as AddressInfo).port };
}

const http = (listener: RequestListener, host?: string, port?: number) => listen(createServer(listener), host, port);

/** A server that does with its connections what no HTTP server does. */
const tcp = (onConnection: (socket: Socket) => void) =>
  listen(
    createTcpServer((socket) => {
      sockets.add(socket);
      onConnection(socket.on('error', () => {}));
    }),
  );

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  for (const server of open.splice(0)) {
    if ('closeAllConnections' in server) server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
});

const names =
  (table: Record<string, string[]>): Resolve =>
  async (host) =>
    table[host] ?? [];
const { send } = createFetch({
  privateAddresses: 'loopback',
  resolve: names({ 'receiver.test': ['127.0.0.1'], 'other.test': ['127.0.0.1'] }),
});
const impatient = createFetch({ privateAddresses: 'loopback', timeLimitMs: 300 }).send;

describe('a request', () => {
  test('carries method, path, headers and body, and brings back status and body', async () => {
    const { port } = await http(async (request, reply) => {
      const body = (await request.toArray()).join('');
      reply
        .writeHead(418)
        .end(
          `${request.method} ${request.url} ${String(request.headers['webhook-id'])} ${request.headers.host} ${body}`,
        );
    });
    const url = `http://receiver.test:${port}/hook?a=b#fragment`;
    const outcome = await send({ url, method: 'POST', headers: { 'webhook-id': 'msg_1' }, body: '{"a":1}' });
    expect(outcome).toEqual({ ok: true, status: 418, body: `POST /hook?a=b msg_1 receiver.test:${port} {"a":1}` });
  });

  test('keeps no cookie and no connection for the next one', async () => {
    const cookies: unknown[] = [];
    const { server, port } = await http((request, reply) => {
      cookies.push(request.headers.cookie);
      reply.setHeader('set-cookie', 'seen=1').end('ok');
    });
    await send({ url: `http://127.0.0.1:${port}/`, method: 'POST' });
    await send({ url: `http://127.0.0.1:${port}/`, method: 'POST' });
    expect(cookies).toEqual([undefined, undefined]);
    await expect.poll(() => new Promise((counted) => server.getConnections((_error, count) => counted(count)))).toBe(0);
  });

  test('reads only the beginning of an endless reply', async () => {
    const { port } = await http((_request, reply) => {
      const more = (): void => {
        while (!reply.destroyed && reply.write('x'.repeat(1_000)));
      };
      reply.on('drain', more);
      more();
    });
    const outcome = await send({ url: `http://127.0.0.1:${port}/`, method: 'GET' });
    expect(outcome).toEqual({ ok: true, status: 200, body: 'x'.repeat(4_096) });
  });

  test('does not follow a redirect', async () => {
    let followed = 0;
    const target = await http((_request, reply) => reply.end(String(++followed)));
    const { port } = await http((_request, reply) =>
      reply.writeHead(307, { location: `http://127.0.0.1:${target.port}/` }).end(),
    );
    const outcome = await send({ url: `http://127.0.0.1:${port}/`, method: 'POST', body: '{}' });
    expect(outcome).toEqual({ ok: false, reason: 'redirect', status: 307 });
    expect(followed).toBe(0);
  });

  test('goes over TLS to the name in the URL, whose certificate must fit', async () => {
    trustCertificate();
    const { port } = await listen(
      createTlsServer(certificate, (request, reply) => reply.end(String((request.socket as TLSSocket).servername))),
    );
    expect(await send({ url: `https://receiver.test:${port}/`, method: 'GET' })).toEqual({
      ok: true,
      status: 200,
      body: 'receiver.test',
    });
    expect(await send({ url: `https://other.test:${port}/`, method: 'GET' })).toEqual({ ok: false, reason: 'tls' });
    expect(await send({ url: `https://127.0.0.1:${port}/`, method: 'GET' })).toEqual({ ok: false, reason: 'tls' });
  });
});

describe('where a name leads', () => {
  test('is asked once and then stays: a second answer of the name server changes nothing', async () => {
    const { port } = await http((_request, reply) => reply.end('first'), '127.0.0.1');
    await http((_request, reply) => reply.end('second'), '127.0.0.2', port);
    let asked = 0;
    const rebinding: Resolve = async () => (asked++ === 0 ? ['127.0.0.1'] : ['127.0.0.2']);
    const outcome = await createFetch({ privateAddresses: 'loopback', resolve: rebinding }).send({
      url: `http://receiver.test:${port}/`,
      method: 'GET',
    });
    expect(outcome).toEqual({ ok: true, status: 200, body: 'first' });
    expect(asked).toBe(1);
  });

  test('must be public for every one of its addresses', async () => {
    const refusing = (addresses: string[]) =>
      createFetch({ privateAddresses: 'refused', resolve: async () => addresses }).send({
        url: 'https://receiver.test/',
        method: 'GET',
      });
    expect(await refusing(['8.8.8.8', '10.0.0.1'])).toEqual({ ok: false, reason: 'private_address' });
    expect(await refusing(['169.254.169.254'])).toEqual({ ok: false, reason: 'private_address' });
    expect(await refusing(['127.0.0.1'])).toEqual({ ok: false, reason: 'private_address' });
    expect(await refusing(['::ffff:127.0.0.1'])).toEqual({ ok: false, reason: 'private_address' });
    expect(await refusing(['receiver.test'])).toEqual({ ok: false, reason: 'private_address' });
  });

  test('may be this host where the operator allows it, and still no private network', async () => {
    const resolve = names({ 'near.test': ['127.0.0.1', '192.168.0.1'], 'far.test': ['8.8.8.8'] });
    const near = createFetch({ privateAddresses: 'loopback', resolve }).send;
    expect(await near({ url: 'http://near.test:9/', method: 'GET' })).toEqual({ ok: false, reason: 'private_address' });
    expect(await near({ url: 'http://far.test:9/', method: 'GET' })).toEqual({ ok: false, reason: 'private_address' });
  });

  test('may be anywhere where the operator has named it, by a name that only this system knows too', async () => {
    const { port } = await http((_request, reply) => void reply.end('x'.repeat(9_000)));
    const { send: anywhere, urlProblem } = createFetch({ privateAddresses: 'allowed', maxReplyBytes: 8_000 });
    const reply = await anywhere({ url: `http://localhost:${port}/`, method: 'GET' });
    expect(reply).toEqual({ ok: true, status: 200, body: 'x'.repeat(8_000) });
    for (const url of ['http://10.0.0.1:22/', 'https://[fd00::1]/', 'http://intranet/', 'http://8.8.8.8/'])
      expect([url, urlProblem(url)]).toEqual([url, undefined]);
    for (const url of ['ftp://10.0.0.1/', 'https://user:password@intranet/'])
      expect([url, urlProblem(url)]).toEqual([url, expect.stringMatching(/^must /)]);
    // The names file of this system, which no name server knows.
    const own = (await readFile('/etc/hosts', 'utf8')).match(/^127\.0\.\d+\.\d+\s+(\S+)/m)?.[1] ?? 'localhost';
    expect(await anywhere({ url: `http://${own}:${port}/`, method: 'GET' })).toMatchObject({ ok: true });
  });

  test('can be nowhere', async () => {
    expect(await send({ url: 'https://nowhere.test/', method: 'GET' })).toEqual({ ok: false, reason: 'dns' });
    const broken: Resolve = async () => Promise.reject(new Error('SERVFAIL'));
    const outcome = await createFetch({ privateAddresses: 'refused', resolve: broken }).send({
      url: 'https://receiver.test/',
      method: 'GET',
    });
    expect(outcome).toEqual({ ok: false, reason: 'dns' });
  });
});

describe('a request fails as a value', () => {
  const failsWith = async (onConnection: (socket: Socket) => void, fetch = send) => {
    const { port } = await tcp(onConnection);
    const outcome = await fetch({ url: `http://127.0.0.1:${port}/`, method: 'POST', body: '{}' });
    return outcome.ok ? outcome : outcome.reason;
  };

  test('when nobody listens', async () => {
    const { server, port } = await tcp(() => {});
    await new Promise((closed) => server.close(closed));
    expect(await send({ url: `http://127.0.0.1:${port}/`, method: 'GET' })).toEqual({ ok: false, reason: 'refused' });
  });

  test('when the connection is reset or closed early', async () => {
    expect(await failsWith((socket) => socket.resetAndDestroy())).toBe('reset');
    expect(await failsWith((socket) => socket.once('data', () => socket.end()))).toBe('reset');
    expect(
      await failsWith((socket) =>
        socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf')),
      ),
    ).toBe('reset');
  });

  test('when the reply is no HTTP', async () => {
    expect(await failsWith((socket) => socket.once('data', () => socket.write('220 mail.test ESMTP\r\n')))).toBe(
      'malformed',
    );
    const flood = `HTTP/1.1 200 OK\r\n${`x-padding: ${'x'.repeat(1_000)}\r\n`.repeat(100)}\r\n`;
    expect(await failsWith((socket) => socket.once('data', () => socket.write(flood)))).toBe('malformed');
  });

  test('when the other side changes the protocol', async () => {
    const upgrade = 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n';
    expect(await failsWith((socket) => socket.once('data', () => socket.write(upgrade)))).toBe('reset');
  });

  test('when the name server, the head or the body of the reply takes too long', async () => {
    const { send: silent } = createFetch({
      privateAddresses: 'loopback',
      timeLimitMs: 300,
      resolve: () => new Promise(() => {}),
    });
    expect(await silent({ url: 'https://receiver.test/', method: 'GET' })).toEqual({ ok: false, reason: 'timeout' });
    expect(await failsWith(() => {}, impatient)).toBe('timeout');
    const drip = (socket: Socket): void => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n');
      const timer = setInterval(() => socket.write('x'), 20);
      socket.on('close', () => clearInterval(timer));
    };
    expect(await failsWith(drip, impatient)).toBe('timeout');
  });

  test('when TLS is not answered', async () => {
    const { port } = await tcp(() => {});
    expect(await impatient({ url: `https://127.0.0.1:${port}/`, method: 'GET' })).toEqual({
      ok: false,
      reason: 'timeout',
    });
  });

  test('when the caller no longer wants it', async () => {
    const { port } = await tcp(() => {});
    const gone = AbortSignal.timeout(50);
    expect(await send({ url: `http://127.0.0.1:${port}/`, method: 'GET', signal: gone })).toEqual({
      ok: false,
      reason: 'aborted',
    });
  });
});

describe('a URL is refused', () => {
  const strict = createFetch({ privateAddresses: 'refused' });
  const lenient = createFetch({ privateAddresses: 'loopback' });

  test.each([
    ['nonsense', 'must be a URL'],
    [`https://receiver.test/${'x'.repeat(2_048)}`, 'must be at most 2048 characters'],
    ['http://receiver.test/', 'must use https'],
    ['ftp://receiver.test/', 'must use https'],
    ['file:///etc/passwd', 'must use https'],
    ['https://user:password@receiver.test/', 'must not contain a user name or password'],
    ['https://receiver.test:22/', 'must use port 443 or one from 1024'],
    ['https://localhost/', 'must not lead into a private network'],
    ['https://api.localhost./', 'must not lead into a private network'],
    ['https://127.0.0.1/', 'must not lead into a private network'],
    ['https://2130706433/', 'must not lead into a private network'],
    ['https://0x7f.1/', 'must not lead into a private network'],
    ['https://[::1]/', 'must not lead into a private network'],
    ['https://[::ffff:10.0.0.1]/', 'must not lead into a private network'],
    ['https://169.254.169.254/latest/meta-data', 'must not lead into a private network'],
  ])('%s: %s', async (url, problem) => {
    expect(strict.urlProblem(url)).toBe(problem);
    expect(await strict.send({ url, method: 'GET' })).toEqual({
      ok: false,
      reason: 'invalid_url',
    });
  });

  test('not when it is an ordinary one', () => {
    expect(strict.urlProblem('https://receiver.test/hook?x=1')).toBeUndefined();
    expect(strict.urlProblem('https://receiver.test:8443/')).toBeUndefined();
    expect(strict.urlProblem('https://8.8.8.8/')).toBeUndefined();
    expect(lenient.urlProblem('http://127.0.0.1:80/')).toBeUndefined();
    expect(lenient.urlProblem('http://8.8.8.8/')).toBe('must not lead into a private network');
  });
});
