import { once } from 'node:events';
import { Agent, createServer as createHttpServer, get } from 'node:http';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRequests } from '../../src/platform/egress/requests.ts';

const REQUESTS = 40;

const outside = createHttpServer((_, response) => response.end('hello'));
const requests = createRequests();
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
