import { afterAll, beforeAll } from 'vitest';
import { request, type Agent, type Reply } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { prepareTestHost } from '../machines/host.ts';

export type Client = {
  server: TestServer;
  agent: Agent;
  /** A sandbox for all tests of the file. */
  id: string;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** A path below the sandbox. */
  at(path: string): string;
  /** What a command came to. */
  sh(command: string, more?: object): Promise<Reply['body']>;
  raw(method: string, path: string, body?: Buffer | ReadableStream): Promise<Response>;
};

/** A client of a server of its own on real machines, with a sandbox. Nothing is left of them afterwards. */
export function sandboxClient(): Client {
  const call: Client['call'] = (method, path, body, headers) =>
    request(client.server.url, method, path, { key: client.agent.key, body, ...(headers && { headers }) });
  const client = {
    call,
    at: (path) => `/v1/sandboxes/${client.id}${path}`,
    sh: async (command, more = {}) => (await call('POST', client.at('/exec'), { command, ...more })).body,
    raw: (method, path, body) =>
      fetch(client.server.url + path, {
        method,
        headers: { authorization: client.agent.key },
        ...(body && { body, duplex: 'half' }),
      }),
  } as Client;
  beforeAll(async () => {
    await prepareTestHost();
    client.server = await testServer({ FREEHOLD_TEST_CLOCK: 'on' });
    client.agent = await client.server.agent(10_000);
    client.id = (await call('POST', '/v1/sandboxes', { name: 'main', env: { STAGE: 'test' } })).body.id;
  }, 900_000);
  afterAll(async () => {
    const { body } = await call('GET', '/v1/sandboxes');
    await Promise.all(body.sandboxes.map(({ id }: { id: string }) => call('DELETE', `/v1/sandboxes/${id}`)));
    await client.server.stop();
  });
  return client;
}
