import { once } from 'node:events';
import { Agent, createServer as createHttpServer, get } from 'node:http';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRequests } from '../../src/platform/egress/requests.ts';

const REQUESTS = 40;

const outside = createHttpServer((request, response) => {
  if (request.url !== '/slow') return void response.end('hello');
  response.write('hel');
  setTimeout(() => response.end('lo'), 2 * HEAD_MS);
});
const HEAD_MS = 300;
const IDLE_MS = 1_500;
const requests = createRequests({ headMs: HEAD_MS, idleMs: IDLE_MS });
const inside = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  requests.serve(socket, async () => ({ headers: {}, dial }));
});
const portOf = (server: Server): number => (server.address() as AddressInfo).port;

async function dial() {
  const socket = connect(portOf(outside), '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

beforeAll(async () => {
  // One that does not hang up by itself.
  outside.keepAliveTimeout = 60_000;
  for (const server of [outside, inside]) await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterAll(() => {
  outside.closeAllConnections();
  for (const server of [outside, inside]) server.close();
});

test('a connection to the outside ends with the request that it was made for, however many a client makes', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let each = 0; each < REQUESTS; each++) {
    const asked = get({ agent, host: '127.0.0.1', port: portOf(inside), headers: { host: 'outside.example' } });
    const [answer] = await once(asked, 'response');
    expect(await text(answer)).toBe('hello');
  }
  const open = new Promise<number>((resolve) => outside.getConnections((_, count) => resolve(count)));
  expect(await open).toBeLessThan(5);
  agent.destroy();
});

/** How long a connection is left open that says this and, for as long, some letter now and then. */
async function heldAfter(...said: string[]): Promise<{ heldMs: number; heard: string }> {
  const socket = connect({ port: portOf(inside), host: '127.0.0.1', allowHalfOpen: true });
  const [begun, heard] = [Date.now(), text(socket).catch(() => '')];
  socket.on('error', () => {});
  for (const part of said) socket.write(part);
  const drip = setInterval(() => said.length > 0 && socket.write('x'), 50);
  await new Promise((resolve) => socket.once('close', resolve));
  clearInterval(drip);
  return { heldMs: Date.now() - begun, heard: await heard };
}
const HEAD = 'GET / HTTP/1.1\r\nHost: outside.example\r\n\r\n';

test('half a head holds no connection, however slowly it goes on: neither the first nor one that follows', async () => {
  const [silent, half, second] = await Promise.all([
    heldAfter(),
    heldAfter('GET / HTTP/1.1\r\nHost: outside'),
    heldAfter(HEAD, 'GET / HTTP/1.1\r\nX-Slow: '),
  ]);
  for (const { heldMs, heard } of [silent, half]) {
    expect(heldMs).toBeLessThan(IDLE_MS);
    expect(heard).toBe('');
  }
  expect(second.heard).toContain('hello');
  expect(second.heldMs).toBeGreaterThan(HEAD_MS);
  expect(second.heldMs).toBeLessThan(2 * IDLE_MS);
});

test('an answer that takes longer than any head may is waited for', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let each = 0; each < 2; each++) {
    const place = { agent, host: '127.0.0.1', port: portOf(inside), path: '/slow' };
    const [answer] = await once(get({ ...place, headers: { host: 'outside.example' } }), 'response');
    expect(await text(answer)).toBe('hello');
  }
  agent.destroy();
});
