import { Sandbox, type SandboxOpts } from 'e2b';
import { request, type Agent } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';

export type Access = { apiKey: string; apiUrl: string; sandboxUrl: string };

/** Where the stock client finds a server of ours, and the key with which an agent opens it. */
export async function accessOf({ url, key }: Agent, scopes?: string[]): Promise<Access> {
  const reply = await request(url, 'POST', '/v1/keys', { key, body: { name: 'sdk', format: 'e2b', scopes } });
  if (reply.status !== 201) throw new Error(`No key: ${JSON.stringify(reply.body)}`);
  return { apiKey: reply.body.key, apiUrl: `${url}/e2b/api`, sandboxUrl: `${url}/e2b/envd` };
}

export type Client = {
  server: TestServer;
  agent: Agent;
  access: Access;
  create(options?: SandboxOpts): Promise<Sandbox>;
  /** Moves the server's time, where FREEHOLD_TEST_CLOCK is on, and has everything done that is due by then. */
  advance(milliseconds: number): Promise<void>;
  /** Ends what is left, and the server. */
  stop(): Promise<void>;
};

/** The stock client over a whole server of its own, with an agent that has money. */
export async function startClient(env: Record<string, string> = {}): Promise<Client> {
  const server = await testServer(env);
  const agent = await server.agent(1_000);
  const access = await accessOf(agent);
  return {
    server,
    agent,
    access,
    create: (options = {}) => Sandbox.create({ ...access, ...options }),
    async advance(milliseconds) {
      const body = { advance_seconds: milliseconds / 1_000 };
      const reply = await request(server.url, 'POST', '/v1/admin/clock', { key: server.adminKey, body });
      if (reply.status !== 200) throw new Error(`The clock stands still: ${JSON.stringify(reply.body)}`);
    },
    async stop() {
      const left = await Sandbox.list(access).nextItems();
      await Promise.all(left.map(({ sandboxId }) => Sandbox.kill(sandboxId, access)));
      await server.stop();
    },
  };
}
