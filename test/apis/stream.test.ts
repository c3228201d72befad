import { Agent, request } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { ok, route, type Api } from '../../src/apis/contract.ts';
import { serve } from '../../src/apis/serve.ts';
import { AppError } from '../../src/kernel/errors.ts';
import { systemClock } from '../../src/platform/clock.ts';
import type { Database } from '../../src/platform/db.ts';
import { createHttpServer } from '../../src/platform/http.ts';
import { noRequestLimits } from '../../src/platform/limits.ts';

/** On a busy host things take their time. */
const PATIENT = { timeout: 20_000 };

const MEGABYTE = 1_000_000;

let events: string[];
let ticking: PassThrough;
const toy: Api = {
  name: 'toy',
  title: 'Toy',
  owns: () => true,
  errorSchema: z.object({ error: z.string() }),
  presentError: (error) => ({ status: 400, body: { error: error.message } }),
  routes: [
    route({
      method: 'PUT',
      path: '/echo',
      tag: 't',
      summary: 's',
      access: 'public',
      stream: true,
      replies: {},
      handle: async (_op, { body }) => ({ ...ok(body), headers: { 'content-type': 'application/x-echo' } }),
    }),
    route({
      method: 'PUT',
      path: '/count',
      tag: 't',
      summary: 's',
      access: 'public',
      stream: true,
      replies: {},
      handle: async (_op, { body }) => {
        let bytes = 0;
        for await (const chunk of body) bytes += chunk.length;
        return ok({ bytes });
      },
    }),
    route({
      method: 'PUT',
      path: '/refused',
      tag: 't',
      summary: 's',
      access: 'public',
      stream: true,
      replies: {},
      handle: async (_op, { body }) => {
        const begun = await body[Symbol.asyncIterator]().next();
        body.destroy();
        throw new AppError('too_large', `The disk is full after ${begun.value.length > 0 ? 'something' : 'nothing'}`);
      },
    }),
    route({
      method: 'GET',
      path: '/ticks',
      tag: 't',
      summary: 's',
      access: 'public',
      replies: {},
      handle: async (op) => {
        op.signal.addEventListener('abort', () => events.push('aborted'));
        ticking.once('close', () => events.push('closed'));
        return { ...ok(ticking), headers: { 'content-type': 'text/event-stream' } };
      },
    }),
    route({
      method: 'POST',
      path: '/json',
      tag: 't',
      summary: 's',
      access: 'public',
      body: z.object({ name: z.string() }),
      replies: {},
      handle: async (_op, { body }) => ok(body),
    }),
  ],
};

let server: FastifyInstance;
let origin: string;
beforeEach(async () => {
  events = [];
  ticking = new PassThrough();
  server = createHttpServer();
  serve(server, [toy], {
    db: {} as Database,
    clock: systemClock,
    limits: noRequestLimits,
    secret: Buffer.alloc(32),
    authenticate: async () => ({ kind: 'anonymous' }),
    answered: () => {},
  });
  origin = await server.listen({ port: 0, host: '127.0.0.1' });
});
afterEach(() => server.close());

const put = (path: string, body: string | Buffer | ReadableStream, type = 'application/octet-stream') =>
  fetch(origin + path, { method: 'PUT', body, headers: { 'content-type': type }, duplex: 'half' });

test('a streamed body reaches its handler before it is whole, and so does the reply its reader', async () => {
  const sent = request(`${origin}/echo`, { method: 'PUT' });
  sent.write('first');
  const reply = await new Promise<Readable>((resolve) => sent.once('response', resolve));
  const chunks = reply[Symbol.asyncIterator]();
  expect(String((await chunks.next()).value)).toBe('first');
  sent.end('second');
  expect(String((await chunks.next()).value)).toBe('second');
  expect((await chunks.next()).done).toBe(true);
});

test('it may be of any type, of any length, or empty', async () => {
  expect(await (await put('/count', Buffer.alloc(20 * MEGABYTE))).json()).toEqual({ bytes: 20 * MEGABYTE });
  const unmeasured = Readable.toWeb(Readable.from(Array.from({ length: 30 }, () => Buffer.alloc(MEGABYTE))));
  expect(await (await put('/count', unmeasured as ReadableStream)).json()).toEqual({ bytes: 30 * MEGABYTE });
  for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=x'])
    expect(await (await put('/count', '{"a', type)).json()).toEqual({ bytes: 3 });
  expect(await (await put('/count', '')).json()).toEqual({ bytes: 0 });
  expect(await (await fetch(`${origin}/count`, { method: 'PUT' })).json()).toEqual({ bytes: 0 });
});

test('a body that is refused half-way is taken in, so that its sender sees why', async () => {
  const agent = new Agent({ keepAlive: true });
  const sent = request(`${origin}/refused`, { method: 'PUT', agent });
  sent.write(Buffer.alloc(MEGABYTE));
  const reply = await new Promise<Readable>((resolve) => sent.once('response', resolve));
  for (let n = 0; n < 20; n++) sent.write(Buffer.alloc(MEGABYTE));
  sent.end();
  expect(await json(reply)).toEqual({ error: 'The disk is full after something' });
  agent.destroy();
});

test('beside it, all other routes still take JSON and nothing else', async () => {
  const post = (type: string, body: string) =>
    fetch(`${origin}/json`, { method: 'POST', body, headers: { 'content-type': type } });
  expect(await (await post('application/json', '{"name":"x"}')).json()).toEqual({ name: 'x' });
  expect(await (await post('text/plain', '{"name":"x"}')).json()).toEqual({
    error: 'The request body must be application/json',
  });
});

test('a reply begins before there is anything to tell, is sent while it comes, and ends with its reader', async () => {
  const gone = new AbortController();
  const reply = await fetch(`${origin}/ticks`, { signal: gone.signal });
  const reader = reply.body?.getReader();
  ticking.write('data: 1\n\n');
  expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('data: 1\n\n');
  gone.abort();
  await expect.poll(() => events.toSorted(), PATIENT).toEqual(['aborted', 'closed']);
});

test('a server that stops does not wait for those who read on', async () => {
  const reply = await fetch(`${origin}/ticks`);
  const whole = reply.text();
  await server.close();
  expect(events).toContain('closed');
  await expect(whole).rejects.toThrow();
});
