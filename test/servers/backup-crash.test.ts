import { mkdtemp, readdir, rm } from 'node:fs/promises';
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
const PATIENCE_MS = 150_000;
/** While the disk is copied, and while the copy is kept. */
const KILLED_AFTER_MS = [250, 900];

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
  dataDir = await mkdtemp(join(tmpdir(), 'freehold-backup-crash-'));
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

async function active(id: string): Promise<Access> {
  const shown = await eventually(
    async () => (await call('GET', `/servers/${id}`)).body.server,
    (one) => one !== undefined && one.status !== 'PROVISIONING',
    PATIENCE_MS,
  );
  expect(shown).toMatchObject({ status: 'ACTIVE', error: null });
  const access = { ...shown.ssh, known_hosts: shown.ssh.knownHosts };
  await me.trust(access);
  return access;
}

const filesBelow = async (folder: string): Promise<string[]> =>
  (await readdir(join(dataDir, folder), { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);

async function killedAndBack(afterMs: number): Promise<void> {
  await sleep(afterMs);
  await server.stop('SIGKILL');
  await start();
}

test('backups and restores whose process is killed in the middle are finished by the next, with nothing left over', async () => {
  const { body } = await request(server.url, 'POST', '/auth/register', { body: PERSON });
  token = body.accessToken;
  await credit(server.url, ADMIN_KEY, body.user.id, 100);
  const order = { label: 'one', planId: 'vc2-1c-1gb', regionId: 'ams', sshKey: me.publicKey };
  const first = (await call('POST', '/servers', order)).body.server;
  const access = await active(first.id);
  const sum = (await me.ssh(access, 'head -c 200000000 /dev/urandom > /srv/random; sync; sha256sum < /srv/random'))
    .text;
  expect(sum).toMatch(/^[0-9a-f]{64} /);

  for (const afterMs of KILLED_AFTER_MS) {
    const { backup } = (await call('POST', '/backups', { serverId: first.id })).body;
    await killedAndBack(afterMs);
    const shown = async () =>
      (await call('GET', '/backups')).body.backups.find(({ id }: { id: string }) => id === backup.id);
    const made = await eventually(shown, ({ status }) => status !== 'PENDING', PATIENCE_MS);
    expect(made).toMatchObject({ status: 'AVAILABLE', error: null });
    // Frozen by the one that was killed, it goes on.
    expect((await me.ssh(access, 'echo here')).text).toBe('here');

    const restored = (await call('POST', `/backups/${backup.id}/restore`, { sshKey: me.publicKey })).body.server;
    await killedAndBack(afterMs);
    const anew = await active(restored.id);
    expect((await me.ssh(anew, 'sha256sum < /srv/random')).text).toBe(sum);
    await call('DELETE', `/servers/${restored.id}`);
    await me.trust(access);
    expect(await filesBelow('blobs')).toHaveLength(1);
    await call('DELETE', `/backups/${backup.id}`);
    await eventually(
      async () => [...(await filesBelow('blobs')), ...(await filesBelow('snapshots'))],
      (left) => left.length === 0,
      PATIENCE_MS,
    );
  }
  await call('DELETE', `/servers/${first.id}`);
  await eventually(
    async () => (await request(server.url, 'GET', '/v1/admin/machines', { key: ADMIN_KEY })).body.machines.length,
    (left) => left === 0,
    PATIENCE_MS,
  );
}, 800_000);
