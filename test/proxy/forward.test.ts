import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../harness/agent.ts';
import { raw, visit } from './client.ts';
import { proxyWorld, textOf, type ProxyWorld } from './world.ts';

const LARGE = 20_000_000;
const CHUNK = 1_000_000;

let world: ProxyWorld;
beforeAll(async () => void (world = await proxyWorld()));
afterAll(() => world.close());

const digest = () => createHash('sha256');

describe('what goes through', () => {
  test('method, path, query, body and status arrive as they were sent', async () => {
    const port = await world.application((asked, answer) => {
      void textOf(asked).then((body) => {
        answer.writeHead(418, { 'x-own': 'yes' }).end(JSON.stringify([asked.method, asked.url, body]));
      });
    });
    const path = '/a%2Fb/../c?x=1&x=%zz';
    const seen = await visit(world.port, world.hostOf(port), path, { method: 'PATCH', body: 'hello' });
    expect([seen.status, seen.headers['x-own']]).toEqual([418, 'yes']);
    expect(JSON.parse(seen.body)).toEqual(['PATCH', path, 'hello']);
  });

  test('20 MB up and 20 MB down are streams: both sides see the first bytes before the last are sent', async () => {
    const hold = new PassThrough();
    const port = await world.application((asked, answer) => void pipeline(asked, answer));
    const asked = request({
      port: world.port,
      host: '127.0.0.1',
      method: 'POST',
      headers: { host: world.hostOf(port) },
    });
    const sent = digest();
    const received = digest();
    hold.pipe(asked);
    const first = randomBytes(CHUNK);
    hold.write(first);
    sent.update(first);
    const [answer] = await once(asked, 'response');
    const [head] = await once(answer, 'data');
    received.update(head);
    let length = head.length;
    answer.on('data', (chunk: Buffer) => {
      received.update(chunk);
      length += chunk.length;
    });
    for (let at = CHUNK; at < LARGE; at += CHUNK) {
      const chunk = randomBytes(CHUNK);
      sent.update(chunk);
      if (!hold.write(chunk)) await once(hold, 'drain');
    }
    hold.end();
    await once(answer, 'end');
    expect(length).toBe(LARGE);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
  });

  test('an upload waits for an application that does not read', async () => {
    let taken: (() => void) | undefined;
    const port = await world.application((asked, answer) => {
      taken = () => asked.resume().once('end', () => answer.end('read'));
    });
    let sent = 0;
    const source = new Readable({
      read() {
        sent += CHUNK;
        this.push(sent > LARGE ? null : Buffer.alloc(CHUNK));
      },
    });
    const asked = request({
      port: world.port,
      host: '127.0.0.1',
      method: 'POST',
      headers: { host: world.hostOf(port) },
    });
    const answered = once(asked, 'response');
    source.pipe(asked);
    await eventually(
      async () => taken,
      (ready) => ready !== undefined,
    );
    await sleep(300);
    expect(sent).toBeLessThan(LARGE);
    taken?.();
    const [answer] = await answered;
    expect(await textOf(answer)).toBe('read');
  });

  test('server-sent events arrive one by one', async () => {
    const port = await world.application((_, answer) => {
      answer.writeHead(200, { 'content-type': 'text/event-stream' });
      answer.write('data: 1\n\n');
      setTimeout(() => answer.end('data: 2\n\n'), 500);
    });
    const asked = request({ port: world.port, host: '127.0.0.1', headers: { host: world.hostOf(port) } }).end();
    const [answer] = await once(asked, 'response');
    const [first] = await once(answer, 'data');
    expect(first.toString()).toBe('data: 1\n\n');
    expect(await textOf(answer)).toBe('data: 2\n\n');
  });

  test('heads pass before bodies, in both directions', async () => {
    const port = await world.application((asked, answer) => {
      answer.writeHead(200, { 'x-early': 'yes' }).flushHeaders();
      asked.pipe(answer);
    });
    const asked = request({
      port: world.port,
      host: '127.0.0.1',
      method: 'POST',
      headers: { host: world.hostOf(port) },
    });
    asked.flushHeaders();
    const [answer] = await once(asked, 'response');
    expect(answer.headers['x-early']).toBe('yes');
    asked.end('late');
    expect(await textOf(answer)).toBe('late');
  });

  test('a download waits for a client that does not read', async () => {
    let sent = 0;
    const port = await world.application((_, answer) => {
      const source = new Readable({
        read() {
          sent += CHUNK;
          this.push(sent > 3 * LARGE ? null : Buffer.alloc(CHUNK));
        },
      });
      source.pipe(answer);
    });
    const asked = request({ port: world.port, host: '127.0.0.1', headers: { host: world.hostOf(port) } }).end();
    const [answer] = await once(asked, 'response');
    await sleep(500);
    expect(sent).toBeLessThan(3 * LARGE);
    let length = 0;
    for await (const chunk of answer) length += (chunk as Buffer).length;
    expect(length).toBe(3 * LARGE);
  });

  test('trailers come along, except those that would change the head', async () => {
    const port = await world.application((asked, answer) => {
      void textOf(asked).then(() => {
        answer.writeHead(200, { trailer: 'x-sum, set-cookie' }).write('x');
        answer.addTrailers({ 'x-sum': asked.trailers['x-told'] ?? 'none', 'set-cookie': 'a=b; domain=apps.test' });
        answer.end();
      });
    });
    const text = `POST / HTTP/1.1\r\nHost: ${world.hostOf(port)}\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n1\r\nx\r\n0\r\nX-Told: 42\r\n\r\n`;
    const seen = await raw(world.port, text);
    expect(seen).toMatch(/x-sum: 42/i);
    expect(seen).not.toMatch(/set-cookie: a=b/i);
  });

  test('“100 Continue” is the application’s word', async () => {
    const port = await world.application(
      (_, answer) => answer.end('unreached'),
      (server) =>
        server.on('checkContinue', (asked, answer) => {
          if (asked.url === '/no') return answer.writeHead(413).end('too large');
          answer.writeContinue();
          asked.pipe(answer);
        }),
    );
    const head = (path: string) =>
      `POST ${path} HTTP/1.1\r\nHost: ${world.hostOf(port)}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`;
    expect(await raw(world.port, head('/no'))).toMatch(/^HTTP\/1.1 413 /);
    const socket = connect(world.port, '127.0.0.1', () => socket.write(head('/yes')));
    const [told] = await once(socket, 'data');
    expect(told.toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    socket.write('hello');
    const [answer] = await once(socket, 'data');
    expect(answer.toString()).toMatch(/^HTTP\/1.1 200 OK/);
    socket.destroy();
  });

  test('HEAD, 204, 304 and a client of HTTP/1.0 get what they must', async () => {
    const port = await world.application((asked, answer) => {
      if (asked.method === 'HEAD') return answer.writeHead(200, { 'content-length': 1234 }).end();
      if (asked.url === '/chunked') return (answer.write('one'), answer.end('two'));
      return answer.writeHead(Number(asked.url?.slice(1))).end();
    });
    const host = world.hostOf(port);
    expect((await visit(world.port, host, '/', { method: 'HEAD' })).headers['content-length']).toBe('1234');
    expect((await visit(world.port, host, '/204')).status).toBe(204);
    expect((await visit(world.port, host, '/304')).status).toBe(304);
    const old = await raw(world.port, `GET /chunked HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
    expect(old).toMatch(/\r\n\r\nonetwo$/);
  });
});

describe('what breaks off', () => {
  test('a client that goes away takes its request with it', async () => {
    const seen = { closed: false };
    const port = await world.application((asked, answer) => {
      answer.write('begun');
      asked.once('close', () => (seen.closed = true));
      answer.once('close', () => (seen.closed = true));
    });
    const asked = request({ port: world.port, host: '127.0.0.1', headers: { host: world.hostOf(port) } }).end();
    asked.on('error', () => {});
    await once(asked, 'response');
    asked.destroy();
    await eventually(async () => seen.closed, Boolean, 5_000);
  });

  test('an answer that stops short is no whole answer for the client', async () => {
    const port = await world.application((_, answer) => {
      answer.writeHead(200, { 'content-length': 100 }).write('short');
      setTimeout(() => answer.destroy(), 50);
    });
    await expect(visit(world.port, world.hostOf(port))).rejects.toThrow();
  });

  test('an answer for another protocol that nobody asked for is none', async () => {
    const port = await world.application(
      () => {},
      (server) =>
        server.on('connection', (socket) =>
          socket.once('data', () => socket.write('HTTP/1.1 101 Now\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')),
        ),
    );
    expect((await visit(world.port, world.hostOf(port))).status).toBe(502);
  });

  test('connections are used again for what may be repeated, and nothing is lost where one had ended', async () => {
    const port = await world.application(
      (_, answer) => answer.end('ok'),
      (server) => (server.keepAliveTimeout = 60_000),
    );
    const host = world.hostOf(port);
    const before = world.dialled.length;
    for (let round = 0; round < 5; round += 1) expect((await visit(world.port, host)).body).toBe('ok');
    const used = world.dialled.slice(before);
    expect(used).toHaveLength(1);
    // A kept connection whose other end is gone without our having heard of it.
    used[0]?.socket.end();
    expect((await visit(world.port, host)).body).toBe('ok');
    for (let round = 0; round < 3; round += 1) await visit(world.port, host, '/', { method: 'POST', body: 'x' });
    expect(world.dialled.length - before).toBeGreaterThanOrEqual(4);
  });

  test('what a kept connection swallows is asked again on a new one', async () => {
    const paths: string[] = [];
    const port = await world.application((asked, answer) => {
      const isSecond = asked.socket === first;
      first ??= asked.socket;
      paths.push(asked.url ?? '');
      if (isSecond) return void asked.socket.destroy();
      answer.end('ok');
    });
    let first: unknown;
    const host = world.hostOf(port);
    expect((await visit(world.port, host, '/1')).body).toBe('ok');
    expect((await visit(world.port, host, '/2')).body).toBe('ok');
    expect(paths).toEqual(['/1', '/2', '/2']);
  });

  test('200 visits at once are all answered', async () => {
    const port = await world.application((asked, answer) => setTimeout(() => answer.end(asked.url), 20));
    const visits = Array.from({ length: 200 }, (_, index) => visit(world.port, world.hostOf(port), `/${index}`));
    expect((await Promise.all(visits)).map(({ body }) => body)).toEqual(visits.map((_, index) => `/${index}`));
  });
});
