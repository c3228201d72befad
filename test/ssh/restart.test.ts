import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../../bin/server-process.ts';
import { credit, eventually, registerAgent, request, type Agent } from '../harness/agent.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { prepareTestHost } from '../machines/host.ts';
import { sshClient, type Access, type SshClient } from './client.ts';
import { freePorts } from './ports.ts';

const ADMIN_KEY = 'an-operator-of-tests';

let database: TestDatabase;
let dataDir: string;
let ports: string;
let servers: ServerProcess[];
let me: SshClient;
let agent: Agent;
let sandbox: string;

const start = () =>
  startServer({
    FREEHOLD_DATABASE_URL: database.ownerUrl,
    FREEHOLD_DATA_DIR: dataDir,
    FREEHOLD_PORT: '0',
    FREEHOLD_POOL_SIZE: '0',
    FREEHOLD_ADMIN_KEY: ADMIN_KEY,
    FREEHOLD_RATE_LIMITS: 'off',
    FREEHOLD_SSH_PORTS: ports,
  });

const call = (server: ServerProcess | undefined, method: string, path: string, body?: unknown) =>
  request(server?.url ?? '', method, `/v1/sandboxes${path}`, { key: agent.key, body });

beforeAll(async () => {
  await prepareTestHost();
  database = await testDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'freehold-ssh-restart-'));
  const { first, last } = await freePorts(4);
  ports = `${first}-${last}`;
  me = await sshClient();
  servers = [await start(), await start()];
  agent = await registerAgent(servers[0]?.url ?? '');
  await credit(servers[0]?.url ?? '', ADMIN_KEY, agent.accountId, 1_000);
  sandbox = (await call(servers[0], 'POST', '', {})).body.id;
}, 900_000);
afterAll(async () => {
  await call(servers.at(-1), 'DELETE', `/${sandbox}`);
  for (const server of servers) await server.stop();
  await database.drop();
  await rm(dataDir, { recursive: true, force: true });
  await me.dispose();
});

const isBack = (access: Access) =>
  eventually(
    () => me.ssh(access, 'cat begun'),
    ({ exitCode }) => exitCode === 0,
    20_000,
    250,
  );

test('a server that is killed leaves its door to another, and to the next, with the machine as it was', async () => {
  const { body: access } = await call(servers[0], 'POST', `/${sandbox}/ssh`, { authorized_keys: [me.publicKey] });
  await me.trust(access);
  expect((await me.ssh(access, 'echo here > begun; nohup sleep 1000 > /dev/null 2>&1 & echo $! > pid')).exitCode).toBe(
    0,
  );
  const inside = spawn('ssh', [...me.options, '-p', String(access.port), `user@${access.host}`, 'echo in; cat']);
  await once(inside.stdout, 'data');
  const left = once(inside, 'exit');
  await servers.shift()?.stop('SIGKILL');
  await left;
  expect((await isBack(access)).text).toBe('here');
  await servers.shift()?.stop('SIGKILL');
  expect((await me.ssh(access, 'true')).exitCode).toBe(255);
  servers.push(await start());
  expect((await isBack(access)).text).toBe('here');
  expect((await me.ssh(access, 'kill -0 $(cat pid) && echo alive')).text).toBe('alive');
  expect((await call(servers[0], 'GET', `/${sandbox}/ssh`)).body).toEqual(access);
});
