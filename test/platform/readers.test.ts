import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isAppError } from '../../src/kernel/errors.ts';
import { createHttpServer, MAX_READ, MAX_UNTAKEN, withRawBodies } from '../../src/platform/http.ts';

const CHECK_MS = 400;
const LARGE = 'ü'.repeat(4_000_000);
const BODY = 30_000_000;
const server = createHttpServer({ readCheckMs: CHECK_MS });
let url: URL;
beforeAll(async () => {
  server.get('/large', async () => ({ large: LARGE }));
  server.get('/bytes', async (_, reply) => reply.type('application/octet-stream').send(Buffer.alloc(20_000, 7)));
  server.get('/small', async () => ({ small: true }));
  server.get('/late', async () => {
    await sleep(3 * CHECK_MS);
    return { late: true };
  });
  server.post('/whole', { bodyLimit: BODY }, async () => ({ taken: true }));
  withRawBodies(server, (scope) => void scope.post('/streamed', async () => ({ streamed: true })));
  server.setErrorHandler((error, _, reply) =>
    reply.code(isAppError(error, 'rate_limited') ? 429 : 500).send({ error: String(error) }),
  );
  url = new URL(await server.listen({ host: '127.0.0.1', port: 0 }));
});
afterAll(() => {
  server.server.closeAllConnections();
  return server.close();
});

function sending(head: string): Socket {
  const socket = connect({ host: url.hostname, port: Number(url.port) });
  socket.on('error', () => {}).write(head);
  return socket;
}

/** Asks, and reads nothing of the answer but its head. */
async function asking(path: string): Promise<{ socket: Socket; status: string | undefined }> {
  const socket = sending(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const [first] = (await once(socket, 'data')) as [Buffer];
  socket.pause();
  return { socket, status: /^HTTP\/1.1 (\d+)/.exec(first.toString())?.[1] };
}

test('a large answer arrives whole, with its length', async () => {
  const response = await fetch(new URL('/large', url));
  expect(response.headers.get('content-length')).toBe(String(2 * LARGE.length + 12));
  expect(response.headers.get('content-type')).toContain('application/json');
  expect(await response.json()).toEqual({ large: LARGE });
  const bytes = await (await fetch(new URL('/bytes', url))).bytes();
  expect([bytes.length, new Set(bytes).size]).toEqual([20_000, 1]);
  expect((await fetch(new URL('/large', url), { method: 'HEAD' })).status).toBe(200);
});

test('who leaves too much untaken is given no more until it has gone, but what is small', async () => {
  const most = Math.floor(MAX_UNTAKEN.each / (2 * LARGE.length));
  const held = await Promise.all(Array.from({ length: most }, () => asking('/large')));
  expect(new Set(held.map(({ status }) => status))).toEqual(new Set(['200']));
  const more = await asking('/large');
  expect(more.status).toBe('429');
  expect((await fetch(new URL('/small', url))).status).toBe(200);
  for (const { socket } of [...held, more]) socket.destroy();
  await expect.poll(async () => (await fetch(new URL('/large', url))).status).toBe(200);
});

test('who takes nothing at all is cut off, who takes slowly or waits for what takes long is not', async () => {
  const { socket: idle } = await asking('/large');
  const { socket: slow } = await asking('/large');
  let taken = 0;
  slow.on('data', ({ length }: Buffer) => {
    taken += length;
    slow.pause();
  });
  const sips = setInterval(() => slow.resume(), 1);
  const late = fetch(new URL('/late', url)).then((response) => response.json());
  await sleep(4 * CHECK_MS);
  idle.resume();
  await once(idle, 'close');
  expect(idle.bytesRead).toBeLessThan(2 * LARGE.length);
  expect(slow.destroyed).toBe(false);
  expect(await late).toEqual({ late: true });
  clearInterval(sips);
  expect(taken).toBeGreaterThan(0);
  slow.destroy();
});

const post = (path: string, framing: string) =>
  sending(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${framing}\r\n\r\n`);

test.each([
  ['says how long its body is', `Content-Length: ${BODY}`],
  ['does not', 'Transfer-Encoding: chunked'],
])('who sends too much at a time and %s is asked to wait; what is small or streamed is not', async (_, framing) => {
  const most = Math.floor(MAX_READ.each / BODY);
  const held = Array.from({ length: most }, () => post('/whole', framing));
  const small = (path: string) => fetch(new URL(path, url), { method: 'POST', headers, body: '{}' });
  const headers = { 'content-type': 'application/json' };
  const large = () =>
    fetch(new URL('/whole', url), { method: 'POST', headers, body: JSON.stringify('x'.repeat(BODY / 2)) });
  await sleep(CHECK_MS);
  expect((await large()).status).toBe(429);
  expect((await small('/whole')).status).toBe(200);
  const [streamed] = (await once(post('/streamed', framing), 'data')) as [Buffer];
  expect(streamed.toString()).toMatch(/^HTTP\/1.1 200/);
  for (const socket of held) socket.destroy();
  await expect.poll(async () => (await large()).status).toBe(200);
});
