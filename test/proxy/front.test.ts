import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { createHttpServer, withRawBodies } from '../../src/platform/http.ts';
import { eventually } from '../harness/agent.ts';

const MINUTE = 60_000;

const server = createHttpServer();
server.post('/own', { bodyLimit: 10_000_000 }, async () => 'taken');

/** Has taken the request and does not read on. */
withRawBodies(server, (scope) => void scope.post('/slow', () => new Promise(() => {})));

beforeAll(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  await server.listen({ port: 0, host: '127.0.0.1' });
});
afterEach(() => vi.clearAllTimers());
afterAll(async () => {
  vi.useRealTimers();
  server.server.closeAllConnections();
  await server.close();
});

/** A client that has sent the head of a request with a body of 200 000 bytes, and what it has been told. */
async function client(path = '/own') {
  const socket = connect((server.server.address() as AddressInfo).port, '127.0.0.1');
  let told = '';
  socket.on('data', (chunk) => (told += chunk.toString()));
  await once(socket, 'connect');
  const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n`;
  const before = vi.getTimerCount();
  socket.write(`${head}"`);
  await eventually(
    async () => vi.getTimerCount(),
    (count) => count > before,
    5_000,
    10,
  );
  return { socket, told: () => told };
}

test('a body that hardly moves is not waited for', async () => {
  const { socket, told } = await client();
  const closed = once(socket, 'close');
  vi.advanceTimersByTime(MINUTE);
  await closed;
  expect(told()).toMatch(/^HTTP\/1.1 408 /);
});

test('a body that moves is, however long it takes', async () => {
  const { socket, told } = await client();
  const read = () => new Promise((resolve) => setTimeout(resolve, 100));
  socket.write('x'.repeat(100_000));
  await read();
  vi.advanceTimersByTime(MINUTE);
  socket.write('x'.repeat(90_000));
  await read();
  vi.advanceTimersByTime(MINUTE);
  socket.write(`${'x'.repeat(9_998)}"`);
  await eventually(
    async () => told(),
    (text) => text.startsWith('HTTP/1.1 200 '),
    5_000,
  );
  expect(vi.getTimerCount()).toBe(0);
  socket.destroy();
});

test('a body that waits for us may wait', async () => {
  const { socket, told } = await client('/slow');
  socket.write('x'.repeat(190_000));
  await new Promise((resolve) => setTimeout(resolve, 200));
  for (let minute = 0; minute < 3; minute += 1) vi.advanceTimersByTime(MINUTE);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(told()).toBe('');
  socket.destroy();
});

test('who is refused is not waited for, though it goes on sending', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { port } = server.server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.write('no HTTP\r\n\r\n'));
  socket.on('error', () => {});
  const [told] = await once(socket, 'data');
  expect(told.toString()).toMatch(/^HTTP\/1.1 400 /);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write('more');
  vi.advanceTimersByTime(MINUTE);
  socket.write('and more');
  await closed;
});
