import { afterAll, beforeAll, expect, test } from 'vitest';
import { credit, eventually, request, type Reply } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { prepareTestHost } from '../machines/host.ts';
import { leaveNothing } from './leave.ts';
import { sshClient, type SshClient } from '../ssh/client.ts';

const HOUR_SECONDS = 3_600;
const ADDRESS = '203.0.113.33';

let server: TestServer;
let me: SshClient;
let token: string;
let accountId: string;

beforeAll(async () => {
  await prepareTestHost();
  server = await testServer({ FREEHOLD_TEST_CLOCK: 'on', FREEHOLD_IP_POOL: `${ADDRESS}/32` });
  me = await sshClient();
  // An address whose machine is off answers nothing.
  me.options.push('-o', 'ConnectTimeout=2');
  const body = { email: 'ada@example.com', password: 'correct horse battery staple' };
  const reply = await request(server.url, 'POST', '/auth/register', { body });
  [token, accountId] = [reply.body.accessToken, reply.body.user.id];
}, 900_000);
afterAll(async () => {
  if (server) await leaveNothing(server);
  await server?.stop();
  await me?.dispose();
});

const call = (method: string, path: string, body?: unknown): Promise<Reply> =>
  request(server.url, method, path, { key: token, ...(body !== undefined && { body }) });

const isListening = async (): Promise<boolean> =>
  (await me.ssh({ host: ADDRESS, port: 22, user: 'root', known_hosts: '' }, 'true')).exitCode === 0;

test('a server whose next hour is not paid is off within five seconds, whatever runs on it, and on again after a top-up', async () => {
  // Two cents are an hour of the smallest.
  await credit(server.url, server.adminKey, accountId, 2);
  const order = { label: 'short', planId: 'vc2-1c-1gb', regionId: 'fra', sshKey: me.publicKey };
  const { body: deployed } = await call('POST', '/servers', order);
  const shown = async () => (await call('GET', `/servers/${deployed.server.id}`)).body.server;
  const active = await eventually(shown, ({ status }) => status === 'ACTIVE');
  expect(active).toMatchObject({ ipv4: ADDRESS, ssh: { host: ADDRESS, port: 22 } });
  await me.trust({ ...active.ssh, known_hosts: active.ssh.knownHosts });
  // A program that does not want to end.
  const stubborn = `(setsid sh -c 'trap "" TERM; while :; do sleep 1; done' > /dev/null 2>&1 < /dev/null &); echo kept > /root/kept`;
  const access = { ...active.ssh, known_hosts: active.ssh.knownHosts };
  expect((await me.ssh(access, stubborn)).exitCode).toBe(0);

  const begin = performance.now();
  const moved = await request(server.url, 'POST', '/v1/admin/clock', {
    key: server.adminKey,
    body: { advance_seconds: HOUR_SECONDS },
  });
  expect(moved.status).toBe(200);
  const stopped = async () =>
    (await server.db.query<{ state: string }>(`select state from machines where standing`)).map(({ state }) => state);
  await eventually(stopped, ([state]) => state === 'stopped', 20_000, 50);
  const tookMs = performance.now() - begin;
  expect(tookMs).toBeLessThan(5_000);
  expect(await isListening()).toBe(false);
  const { body: login } = await request(server.url, 'POST', '/auth/login', {
    body: { email: 'ada@example.com', password: 'correct horse battery staple' },
  });
  token = login.accessToken;
  expect(await shown()).toMatchObject({ status: 'SUSPENDED', suspendedAt: expect.any(String) });

  await credit(server.url, server.adminKey, accountId, 2);
  await eventually(shown, ({ status }) => status === 'ACTIVE', 10_000);
  await eventually(
    () => me.ssh(access, 'cat /root/kept'),
    ({ text }) => text === 'kept',
    20_000,
  );
  await call('DELETE', `/servers/${deployed.server.id}`);
  await eventually(shown, (gone) => gone === undefined, 20_000);
}, 120_000);
