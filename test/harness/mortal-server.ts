import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { startServer, type ServerProcess } from '../../bin/server-process.ts';
import { CACHE_DIR, prepareTestHost } from '../machines/host.ts';
import { sshClient, type Access, type SshClient } from '../ssh/client.ts';
import { freePorts } from '../ssh/ports.ts';
import { credit, eventually, request, type Reply } from './agent.ts';

const ADMIN_KEY = 'admin-key-of-the-tests';
const PERSON = { email: 'ada@example.com', password: 'correct horse battery staple' };
const ACTIVE_PATIENCE_MS = 150_000;
/** Characters of what the server has printed that are shown where a server does not come up. */
const SHOWN_OUTPUT = 4_000;
const GONE_PATIENCE_MS = 150_000;

/** The server as a process of its own that may be killed at any time, with a person who has money and an SSH client. */
export type MortalServer = {
  dataDir: string;
  me: SshClient;
  process(): ServerProcess;
  start(): Promise<void>;
  /** Kills it after so long, and starts it again. */
  killedAndBack(afterMs: number): Promise<void>;
  call(method: string, path: string, body?: unknown): Promise<Reply>;
  /** Once a server is ACTIVE: how to get in, which the SSH client is told too. */
  active(id: string): Promise<Access>;
  /** The machines that there are, as the operator sees them. */
  machines(): Promise<unknown[]>;
  /** Destroys servers and waits until no machine is left. */
  destroyed(...ids: string[]): Promise<void>;
  dispose(): Promise<void>;
};

export async function mortalServer(name: string, { cents }: { cents: number }): Promise<MortalServer> {
  await prepareTestHost();
  const dataDir = await mkdtemp(join(tmpdir(), `freehold-${name}-`));
  const { first, last } = await freePorts(8);
  const me = await sshClient();
  const launched = () =>
    startServer({
      FREEHOLD_DATA_DIR: dataDir,
      FREEHOLD_CACHE_DIR: CACHE_DIR,
      FREEHOLD_PORT: '0',
      FREEHOLD_ADMIN_KEY: ADMIN_KEY,
      FREEHOLD_RATE_LIMITS: 'off',
      FREEHOLD_POOL_SIZE: '0',
      FREEHOLD_SSH_PORTS: `${first}-${last}`,
    });
  let server = await launched();
  const start = async () => void (server = await launched());
  const { body } = await request(server.url, 'POST', '/auth/register', { body: PERSON });
  const call: MortalServer['call'] = (method, path, sent) =>
    request(server.url, method, path, { key: body.accessToken, ...(sent !== undefined && { body: sent }) });
  const machines = async (): Promise<unknown[]> =>
    (await request(server.url, 'GET', '/v1/admin/machines', { key: ADMIN_KEY })).body.machines;
  await credit(server.url, ADMIN_KEY, body.user.id, cents);
  return {
    dataDir,
    me,
    process: () => server,
    start,
    async killedAndBack(afterMs) {
      await sleep(afterMs);
      await server.stop('SIGKILL');
      await start();
    },
    call,
    async active(id) {
      const shown = await eventually(
        async () => (await call('GET', `/servers/${id}`)).body.server,
        (one) => one !== undefined && one.status !== 'PROVISIONING',
        ACTIVE_PATIENCE_MS,
      ).catch((cause: Error) => {
        throw new Error(`${cause.message}\n${server.output().slice(-SHOWN_OUTPUT)}`, { cause });
      });
      expect(shown).toMatchObject({ status: 'ACTIVE', error: null });
      const access = { ...shown.ssh, known_hosts: shown.ssh.knownHosts };
      await me.trust(access);
      return access;
    },
    machines,
    async destroyed(...ids) {
      for (const id of ids) await call('DELETE', `/servers/${id}`);
      await eventually(machines, ({ length }) => length === 0, GONE_PATIENCE_MS);
    },
    async dispose() {
      await server.stop();
      await me.dispose();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
