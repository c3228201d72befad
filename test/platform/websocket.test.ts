import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { AppError } from '../../src/kernel/errors.ts';
import { createFrontedServer, type RequestListener } from '../../src/platform/front.ts';
import { acceptChannel, createSocketFront, MAX_CHANNELS } from '../../src/platform/websocket.ts';

let server: Server;
/** Grants whoever asks a channel in the name that stands in the path. */
const routes: RequestListener = (request, response) => {
  const caller = request.url ?? '';
  try {
    acceptChannel({ request, response, caller }, async () => {});
  } catch (error) {
    response.writeHead(error instanceof AppError && error.code === 'at_capacity' ? 503 : 500).end();
  }
};
beforeAll(async () => {
  server = createFrontedServer(routes, [createSocketFront({ speaks: () => true, routes })]);
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterAll(() => server.closeAllConnections());

async function open(caller: string): Promise<WebSocket | number | undefined> {
  const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/${caller}`);
  socket.on('error', () => {});
  return Promise.race([
    once(socket, 'open').then(() => socket),
    once(socket, 'unexpected-response').then(([, reply]) => (reply as IncomingMessage).statusCode),
  ]);
}

test('a caller has so many WebSockets at a time, others have theirs besides, and one that ends makes room', async () => {
  const mine: (WebSocket | number | undefined)[] = [];
  for (let each = 0; each < MAX_CHANNELS.each; each++) mine.push(await open('me'));
  expect(mine.every((one) => one instanceof WebSocket)).toBe(true);
  expect(await open('me')).toBe(503);
  const other = await open('another');
  expect(other).toBeInstanceOf(WebSocket);
  const [first] = mine;
  if (first instanceof WebSocket) first.terminate();
  await expect.poll(() => open('me')).toBeInstanceOf(WebSocket);
  for (const one of [...mine, other]) if (one instanceof WebSocket) one.terminate();
});
