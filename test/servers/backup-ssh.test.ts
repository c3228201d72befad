import { afterAll, beforeAll, expect, test } from 'vitest';
import { credit, eventually, request, type Reply } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { fakeS3, type FakeS3 } from '../fakes/s3.ts';
import { prepareTestHost } from '../machines/host.ts';
import { sshClient, type Access, type SshClient } from '../ssh/client.ts';
import { freePorts } from '../ssh/ports.ts';
import { leaveNothing } from './leave.ts';

const PATIENCE_MS = 120_000;
const PLAN = { planId: 'vc2-1c-1gb', regionId: 'ams' };

/** Writes one row after the other, each in a transaction of its own that is on the disk when it says so. */
const WRITER = `
import hashlib, sqlite3, sys
db = sqlite3.connect('/srv/load.db', isolation_level=None)
db.execute('pragma journal_mode = wal'); db.execute('pragma synchronous = full')
db.execute('create table if not exists rows (n integer primary key, body blob, sum text)')
n = db.execute('select coalesce(max(n), 0) from rows').fetchone()[0]
while True:
    n += 1
    body = hashlib.sha256(str(n).encode()).digest() * 64
    db.execute('insert into rows values (?, ?, ?)', (n, body, hashlib.sha256(body).hexdigest()))
    print(n, file=open('/dev/shm/written', 'w'))
`;

/** How many rows there are, if they are those that were written, one after the other, and the database is sound. */
const READER = `
import hashlib, sqlite3
db = sqlite3.connect('/srv/load.db')
assert db.execute('pragma integrity_check').fetchone()[0] == 'ok'
count = 0
for n, body, sum in db.execute('select n, body, sum from rows order by n'):
    count += 1
    assert n == count and body == hashlib.sha256(str(n).encode()).digest() * 64 and sum == hashlib.sha256(body).hexdigest()
print(count)
`;

/** Every file with its owner, mode and sum, but what a running system writes and what makes a computer itself. */
const OMITTED = `\\( ${[
  ...['run', 'tmp', 'proc', 'sys', 'dev', 'var/log', '.freehold'].map((folder) => `-path ./${folder}`),
  ...['machine-id', 'hostname', 'hosts', 'resolv.conf'].map((file) => `-path ./etc/${file}`),
  ...['shadow*', 'load.db*', '.pwd.lock', '__pycache__'].map((name) => `-name '${name}'`),
].join(' -o ')} \\) -prune`;
const MANIFEST = `cd / && {
  find . -xdev ${OMITTED} -o -printf '%p %y %m %U %G %l\\n'
  find . -xdev ${OMITTED} -o -type f -print0 | xargs -0 sha256sum
} | sort | sha256sum`;

let server: TestServer;
let store: FakeS3;
let token: string;
let me: SshClient;

beforeAll(async () => {
  await prepareTestHost();
  const { first, last } = await freePorts(8);
  store = await fakeS3();
  server = await testServer({
    FREEHOLD_SSH_PORTS: `${first}-${last}`,
    FREEHOLD_BACKUP_S3_URL: store.bucket.url,
    FREEHOLD_BACKUP_S3_BUCKET: store.bucket.bucket,
    FREEHOLD_BACKUP_S3_REGION: store.bucket.region,
    FREEHOLD_BACKUP_S3_ACCESS_KEY: store.bucket.accessKey,
    FREEHOLD_BACKUP_S3_SECRET_KEY: store.bucket.secretKey,
  });
  const person = { email: 'ada@example.com', password: 'correct horse battery staple' };
  const { body } = await request(server.url, 'POST', '/auth/register', { body: person });
  token = body.accessToken;
  await credit(server.url, server.adminKey, body.user.id, 10_000);
  me = await sshClient();
}, 900_000);
afterAll(async () => {
  if (server) await leaveNothing(server);
  await server?.stop();
  await store?.close();
  await me?.dispose();
}, 120_000);

const call = (method: string, path: string, body?: unknown): Promise<Reply> =>
  request(server.url, method, path, { key: token, ...(body !== undefined && { body }) });

async function active(id: string): Promise<Access> {
  const shown = await eventually(
    async () => (await call('GET', `/servers/${id}`)).body.server,
    ({ status }) => status !== 'PROVISIONING',
    PATIENCE_MS,
  );
  expect(shown).toMatchObject({ status: 'ACTIVE', error: null });
  return { ...shown.ssh, known_hosts: shown.ssh.knownHosts };
}

test('a server with a package and a database under load comes back from its backup, byte for byte, as another computer', async () => {
  const order = { label: 'keeper', ...PLAN, sshKey: me.publicKey };
  const made = (await call('POST', '/servers', order)).body.server;
  const access = await active(made.id);
  await me.trust(access);
  const lay = async (command: string, stdin?: string): Promise<string> => {
    const { exitCode, text } = await me.ssh(access, command, stdin);
    expect([exitCode, text]).toEqual([0, expect.any(String)]);
    return text;
  };
  const control =
    'Package: hello-freehold\nVersion: 1.0\nArchitecture: all\nMaintainer: me <me@home>\nDescription: hi\n';
  await lay('mkdir -p /root/p/DEBIAN /root/p/usr/bin && cat > /root/p/DEBIAN/control', control);
  await lay(
    'printf "#!/bin/sh\\necho hello\\n" > /root/p/usr/bin/hello-freehold && chmod 755 /root/p/usr/bin/hello-freehold',
  );
  await lay('dpkg-deb --root-owner-group --build /root/p /root/p.deb >/dev/null && dpkg -i /root/p.deb >/dev/null');
  await lay('head -c 60000000 /dev/urandom > /srv/random; truncate -s 1G /srv/holes; ln -s /nowhere /srv/link');
  await lay('cat > /srv/writer.py', WRITER);
  await lay('setsid python3 /srv/writer.py > /dev/null 2>&1 < /dev/null &');
  const written = () => lay('cat /dev/shm/written 2>/dev/null || echo 0').then(Number);
  await eventually(written, (n) => n > 100, PATIENCE_MS);
  const manifest = await lay(MANIFEST);
  const machineId = await lay('cat /etc/machine-id');

  const before = await written();
  const { status, body } = await call('POST', '/backups', { serverId: made.id });
  expect([status, body.backup.status]).toEqual([202, 'PENDING']);
  expect(await call('POST', '/backups', { serverId: made.id })).toMatchObject({ status: 409 });
  const shown = async () => (await call('GET', '/backups')).body.backups[0];
  const backup = await eventually(shown, (one) => one.status !== 'PENDING', PATIENCE_MS);
  expect(backup).toMatchObject({ status: 'AVAILABLE', label: 'keeper', plan: PLAN.planId, region: PLAN.regionId });
  expect(backup.sizeBytes).toBeGreaterThan(60_000_000);
  const after = await written();
  // It has gone on meanwhile, and nobody killed it.
  await eventually(written, (n) => n > after, PATIENCE_MS);
  expect((await call('DELETE', `/servers/${made.id}`)).status).toBe(202);

  const restored = (await call('POST', `/backups/${backup.id}/restore`, { sshKey: me.publicKey })).body.server;
  expect(restored).toMatchObject({ status: 'PROVISIONING', label: 'keeper', plan: PLAN.planId });
  const anew = await active(restored.id);
  // Whoever knew the old one does not take the new one for it.
  await me.trust({ ...anew, known_hosts: access.known_hosts.replace(/:\d+\b/, `:${anew.port}`) });
  expect((await me.ssh(anew, 'true')).text).toMatch(/Host key verification failed|IDENTIFICATION HAS CHANGED/);
  await me.trust(anew);
  const said = async (command: string, stdin?: string) => (await me.ssh(anew, command, stdin)).text;
  const count = Number(await said('python3 -', READER));
  expect(count).toBeGreaterThanOrEqual(before);
  expect(count).toBeLessThanOrEqual(after + 1);
  expect(await said(MANIFEST)).toBe(manifest);
  expect(await said('hello-freehold; hostname; cat /etc/machine-id | wc -c')).toBe('hello\nkeeper\n33');
  expect(await said('cat /etc/machine-id')).not.toBe(machineId);
  expect(await said('stat -c "%s %b" /srv/holes')).toBe('1073741824 0');

  expect((await call('DELETE', `/backups/${backup.id}`)).status).toBe(202);
  await eventually(
    async () => store.objects.size + store.uploads.size,
    (left) => left === 0,
    20_000,
  );
  expect(await server.db.query(`select id from machine_snapshots`)).toEqual([]);
}, 400_000);
