import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../../bin/server-process.ts';
import { credit, eventually, request, type Reply } from '../harness/agent.ts';
import { CACHE_DIR, prepareTestHost } from '../machines/host.ts';
import { sshClient, type Access, type SshClient } from '../ssh/client.ts';
import { freePorts } from '../ssh/ports.ts';

const ADMIN_KEY = 'admin-key-of-the-tests';
const PERSON = { email: 'ada@example.com', password: 'correct horse battery staple' };
const PATIENCE_MS = 60_000;

let dataDir: string;
let ports: string;
let server: ServerProcess;
let me: SshClient;
let token: string;

const start = async () =>
  void (server = await startServer({
    FREEHOLD_DATA_DIR: dataDir,
    FREEHOLD_CACHE_DIR: CACHE_DIR,
    FREEHOLD_PORT: '0',
    FREEHOLD_ADMIN_KEY: ADMIN_KEY,
    FREEHOLD_RATE_LIMITS: 'off',
    FREEHOLD_POOL_SIZE: '0',
    FREEHOLD_SSH_PORTS: ports,
  }));

beforeAll(async () => {
  await prepareTestHost();
  dataDir = await mkdtemp(join(tmpdir(), 'freehold-restart-'));
  const { first, last } = await freePorts(8);
  ports = `${first}-${last}`;
  me = await sshClient();
  await start();
}, 900_000);
afterAll(async () => {
  await server?.stop();
  await me?.dispose();
  await rm(dataDir, { recursive: true, force: true });
}, 60_000);

const call = (method: string, path: string, body?: unknown): Promise<Reply> =>
  request(server.url, method, path, { key: token, ...(body !== undefined && { body }) });
const shown = async (id: string) => (await call('GET', `/servers/${id}`)).body.server;
const active = (id: string) =>
  eventually(
    () => shown(id),
    (one) => one?.status === 'ACTIVE',
    PATIENCE_MS,
  );

test('servers outlive the process, and one that was being made when it was killed is made once', async () => {
  const { body } = await request(server.url, 'POST', '/auth/register', { body: PERSON });
  token = body.accessToken;
  await credit(server.url, ADMIN_KEY, body.user.id, 100);
  const order = { label: 'one', planId: 'vc2-1c-1gb', regionId: 'ams', sshKey: me.publicKey };
  const first = (await call('POST', '/servers', order)).body.server;
  const { ssh } = await active(first.id);
  const access: Access = { ...ssh, known_hosts: ssh.knownHosts };
  await me.trust(access);
  expect((await me.ssh(access, 'echo $$ > /dev/shm/kept; echo kept > /root/kept')).exitCode).toBe(0);

  const second = (await call('POST', '/servers', { ...order, label: 'two' })).body.server;
  await sleep(150);
  await server.stop('SIGKILL');
  await start();

  expect((await me.ssh(access, 'cat /root/kept && test -s /dev/shm/kept')).text).toBe('kept');
  const made = await active(second.id);
  await me.trust({ ...made.ssh, known_hosts: made.ssh.knownHosts });
  expect((await me.ssh({ ...made.ssh, known_hosts: '' }, 'hostname')).text).toBe('two');
  const { machines } = (await request(server.url, 'GET', '/v1/admin/machines', { key: ADMIN_KEY })).body;
  expect(machines).toHaveLength(2);
  // Two hours of $0.0137, whatever has happened.
  expect((await call('GET', '/billing')).body).toEqual({ balance: '0.97', hourlySpend: '0.0274' });
  for (const { id } of [first, second]) await call('DELETE', `/servers/${id}`);
  await eventually(
    async () => (await request(server.url, 'GET', '/v1/admin/machines', { key: ADMIN_KEY })).body.machines.length,
    (left) => left === 0,
    PATIENCE_MS,
  );
}, 180_000);
