import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { proxyWorld, type ProxyWorld } from './world.ts';

const MINUTE = 60_000;

let world: ProxyWorld;
/** Answers when it has all of a request. */
let patient: number;
/** Answers each piece as it comes. */
let talkative: number;
let given: string;
let left: number;

beforeAll(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  world = await proxyWorld();
  patient = await world.application((asked, answer) => {
    asked.on('data', (chunk) => (given += chunk));
    asked.once('end', () => answer.end('all'));
    asked.once('error', () => (left += 1));
  });
  talkative = await world.application((asked, answer) => {
    answer.flushHeaders();
    asked.pipe(answer);
  });
});
afterEach(() => vi.clearAllTimers());
afterAll(async () => {
  vi.useRealTimers();
  await world.close();
});

/** A visitor who has sent the head of a request and the first piece of its body, and what it has been told. */
async function visitor(port: number): Promise<{ socket: Socket; told: () => string }> {
  [given, left] = ['', 0];
  const socket = connect(world.port, '127.0.0.1');
  let told = '';
  socket.on('data', (chunk) => (told += chunk.toString()));
  await once(socket, 'connect');
  socket.write(`POST / HTTP/1.1\r\nHost: ${world.hostOf(port)}\r\nTransfer-Encoding: chunked\r\n\r\n`);
  socket.write(piece('first'));
  return { socket, told: () => told };
}

const piece = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

test('who hardly sends the body of a visit is not waited for, and the application is told', async () => {
  const { socket, told } = await visitor(patient);
  await expect.poll(() => given).toBe('first');
  const closed = once(socket, 'close');
  vi.advanceTimersByTime(MINUTE);
  await closed;
  expect(told()).toMatch(/^HTTP\/1.1 408 /);
  await expect.poll(() => left).toBe(1);
});

test('who is answered meanwhile may send as slowly as it likes', async () => {
  const { socket, told } = await visitor(talkative);
  await expect.poll(told).toContain(piece('first'));
  vi.advanceTimersByTime(3 * MINUTE);
  socket.write(piece('second'));
  await expect.poll(told).toContain(piece('second'));
  vi.advanceTimersByTime(3 * MINUTE);
  socket.write('0\r\n\r\n');
  await expect.poll(told).toMatch(/0\r\n\r\n$/);
  socket.destroy();
});
