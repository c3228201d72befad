import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { anthropicReply, chatReply, responsesReply, type Said } from './provider-wire.ts';

/** What the pretended model does when it is asked. */
export type Reply =
  | {
      kind: 'message';
      text?: string;
      toolCalls?: { name: string; input: unknown }[];
      /** Tokens that the reply reports; left out, it reports 100 in and 10 out. `null` reports none. */
      usage?: { input: number; output: number; cached?: number; cacheWrite?: number } | null;
      stop?: 'length' | 'filtered';
      delayMs?: number;
    }
  | { kind: 'status'; status: number; headers?: Record<string, string>; body?: unknown }
  | { kind: 'garbage'; text: string }
  /** Takes the request and never answers. */
  | { kind: 'silence' }
  /** Takes the request and breaks the connection. */
  | { kind: 'hangup' };

export type Received = { path: string; headers: IncomingMessage['headers']; body: Record<string, unknown> };

export type FakeProvider = {
  /** Origin without a path. */
  url: string;
  requests: Received[];
  /** Replies to give, in order; when they are used up, `otherwise` answers. */
  replies: Reply[];
  otherwise: (request: Received, index: number) => Reply;
  /** Resolves when the nth request (from 1) has arrived. */
  asked(count: number): Promise<void>;
  close(): Promise<void>;
};

/**
 * A model provider on loopback that speaks Anthropic Messages, OpenAI Responses and OpenAI Chat Completions, and says
 * what the test tells it to.
 */
export async function startFakeProvider(replies: Reply[] = []): Promise<FakeProvider> {
  const waiting: { count: number; resolve: () => void }[] = [];
  const server = createServer((request, response) => void serve(fake, waiting, request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const fake: FakeProvider = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    replies,
    otherwise: () => ({ kind: 'status', status: 500, body: { error: { message: 'The test has no further reply' } } }),
    asked: (count) =>
      fake.requests.length >= count ? Promise.resolve() : new Promise((resolve) => waiting.push({ count, resolve })),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return fake;
}

async function serve(
  fake: FakeProvider,
  waiting: { count: number; resolve: () => void }[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const received = {
    path: request.url ?? '',
    headers: request.headers,
    body: JSON.parse(Buffer.concat(chunks).toString()),
  };
  fake.requests.push(received);
  for (const wish of waiting) if (fake.requests.length >= wish.count) wish.resolve();
  const reply = fake.replies.shift() ?? fake.otherwise(received, fake.requests.length);
  if (reply.kind === 'silence') return;
  if (reply.kind === 'hangup') return void response.destroy();
  if (reply.kind === 'message' && reply.delayMs) await new Promise((resolve) => setTimeout(resolve, reply.delayMs));
  const { status, headers, body } = wireOf(received, reply);
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
}

function wireOf(request: Received, reply: Exclude<Reply, { kind: 'silence' } | { kind: 'hangup' }>) {
  if (reply.kind === 'garbage') return { status: 200, headers: {}, body: reply.text };
  if (reply.kind === 'status')
    return {
      status: reply.status,
      headers: reply.headers ?? {},
      body: JSON.stringify(reply.body ?? { error: { message: 'refused' } }),
    };
  const shapes: Record<string, (model: string, said: Said) => unknown> = {
    '/v1/messages': anthropicReply,
    '/v1/responses': responsesReply,
    '/v1/chat/completions': chatReply,
  };
  const shape = shapes[request.path];
  if (!shape)
    return { status: 404, headers: {}, body: JSON.stringify({ error: { message: `no such path ${request.path}` } }) };
  return { status: 200, headers: {}, body: JSON.stringify(shape(String(request.body['model']), reply)) };
}

/** A reply that calls one tool. */
export const toolCall = (name: string, input: unknown, usage?: { input: number; output: number }): Said => ({
  kind: 'message',
  toolCalls: [{ name, input }],
  ...(usage && { usage }),
});
