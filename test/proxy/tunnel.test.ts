import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { eventually } from '../harness/agent.ts';
import { raw } from './client.ts';
import { proxyWorld, type ProxyWorld } from './world.ts';

const LARGE = 5_000_000;

let world: ProxyWorld;
let echo: number;
const greeted: IncomingMessage[] = [];

beforeAll(async () => {
  world = await proxyWorld();
  echo = await world.application(
    (_, answer) => answer.writeHead(426).end('upgrade, please'),
    (server) => {
      const sockets = new WebSocketServer({ server, maxPayload: LARGE, handleProtocols: () => 'chat' });
      sockets.on('connection', (socket, asked) => {
        greeted.push(asked);
        socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
      });
    },
  );
});
afterAll(() => world.close());

const open = (port = echo, headers: Record<string, string> = {}): WebSocket =>
  new WebSocket(`ws://127.0.0.1:${world.port}/chat?x=1`, ['chat'], {
    headers: { host: world.hostOf(port), ...headers },
  });

describe('a WebSocket', () => {
  test('is open in both directions, with its protocol, path and cookies, and closes with its code', async () => {
    const socket = open(echo, { cookie: 'a=1', 'x-forwarded-for': '8.8.8.8' });
    await once(socket, 'open');
    expect(socket.protocol).toBe('chat');
    socket.send('hello');
    const [text] = await once(socket, 'message');
    expect(text.toString()).toBe('hello');
    const asked = greeted.at(-1);
    expect([asked?.url, asked?.headers.cookie, asked?.headers['x-forwarded-for']]).toEqual([
      '/chat?x=1',
      'a=1',
      '127.0.0.1',
    ]);
    socket.close(4001, 'enough');
    const [code] = await once(socket, 'close');
    expect(code).toBe(4001);
  });

  test('carries large messages whole', async () => {
    const socket = open();
    await once(socket, 'open');
    const sent = randomBytes(LARGE);
    socket.send(sent);
    const [received] = await once(socket, 'message');
    expect(sent.equals(received)).toBe(true);
    socket.close();
  });

  test('50 at once are apart from each other', async () => {
    const sockets = Array.from({ length: 50 }, () => open());
    const answers = sockets.map(async (socket, index) => {
      await once(socket, 'open');
      socket.send(`number ${index}`);
      const [text] = await once(socket, 'message');
      socket.close();
      return text.toString();
    });
    expect(await Promise.all(answers)).toEqual(sockets.map((_, index) => `number ${index}`));
  });

  test('where nothing listens is refused as any visit is', async () => {
    const socket = open(1);
    const [, answer] = await once(socket, 'unexpected-response');
    expect(answer.statusCode).toBe(502);
    socket.on('error', () => {});
    socket.terminate();
  });

  test('ends at the application when its client is gone', async () => {
    const seen = { closed: 0 };
    const port = await world.application(
      () => {},
      (server) =>
        new WebSocketServer({ server }).on('connection', (each) => each.on('close', () => (seen.closed += 1))),
    );
    const socket = open(port);
    await once(socket, 'open');
    socket.terminate();
    await eventually(
      async () => seen.closed,
      (closed) => closed === 1,
      5_000,
    );
  });
});

describe('any other protocol', () => {
  test('has the connection to itself, also what was sent too early, until the last byte', async () => {
    const port = await world.application(
      () => {},
      (server) =>
        server.on('upgrade', (asked: IncomingMessage, socket: Duplex, head: Buffer) => {
          socket.write(`HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: ${asked.headers.upgrade}\r\n\r\nfirst,`);
          socket.write(head);
          socket.on('data', (chunk) => socket.end(`${chunk},last`));
        }),
    );
    const head = `GET / HTTP/1.1\r\nHost: ${world.hostOf(port)}\r\nConnection: upgrade\r\nUpgrade: own/1\r\n\r\n`;
    const seen = await raw(world.port, `${head}early`);
    expect(seen).toMatch(/^HTTP\/1.1 101 /);
    expect(seen).toMatch(/upgrade: own\/1/i);
    expect(seen).toMatch(/first,early/);
  });

  test('that is not granted is an ordinary answer, and nothing after it is a request', async () => {
    const text = `GET / HTTP/1.1\r\nHost: ${world.hostOf(echo)}\r\nConnection: upgrade\r\nUpgrade: own/1\r\n\r\n`;
    const seen = await raw(world.port, `${text}GET /own HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    expect(seen).toMatch(/^HTTP\/1.1 400 /);
    expect(seen).not.toMatch(/"own"/);
  });

  test('is not granted by the server’s own routes', async () => {
    const text = 'GET /own HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n';
    expect(await raw(world.port, text)).toMatch(/^HTTP\/1.1 200 /);
  });

  test('with a body is an ordinary request', async () => {
    const text = `POST / HTTP/1.1\r\nHost: ${world.hostOf(echo)}\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi`;
    expect(await raw(world.port, text)).toMatch(/^HTTP\/1.1 426 /);
  });
});
