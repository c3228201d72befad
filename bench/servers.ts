/**
 * What renting a server costs in time, as an agent meets it: the whole server in a process of its own, over HTTP on
 * loopback, and the real OpenSSH client with strict host key checking. `deploy_to_ssh` is from the wish to the first
 * command done over SSH, with the status asked for ten times a second; `deploy_to_active` is its first part; `reboot`
 * is from the wish until a command is done again. One SSH connection alone is `ssh`, the rest of `deploy_to_ssh`.
 *
 * `backup` is from the wish to AVAILABLE, `restore` from the wish to the first command over SSH, both in MB of filled disk a
 * second. The baselines are what the tools alone do with the same disk in the same round: `tar | zstd` into a file, synced,
 * and `zstd | tar` back.
 */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startServer, type ServerProcess } from '../bin/server-process.ts';
import { must } from '../src/platform/run.ts';
import type { Row } from './run.ts';

const ROUNDS = 15;
const BACKUP_ROUNDS = 5;
/** What is on the disk that is backed up, half of it random and half of it text. */
const FILL = 'head -c 300000000 /dev/urandom > /srv/random; seq 1 40000000 | head -c 300000000 > /srv/text; sync';
const MB = 1_000_000;
const BLOCK = 512;
const LOOK_EVERY_MS = 100;
const CENTS = 100_000;
const ADMIN_KEY = 'admin-key-of-the-benchmark';
const CACHE_DIR = process.env['FREEHOLD_CACHE_DIR'] ?? join(homedir(), '.cache', 'freehold');
const ORDER = { label: 'bench', planId: 'vc2-1c-1gb', regionId: 'ams' };

type Access = { host: string; port: number; knownHosts: string };

export async function run(options: { rounds?: number }): Promise<{ rounds: number; rows: Row[] }> {
  const rounds = options.rounds ?? ROUNDS;
  const folder = await mkdtemp(join(tmpdir(), 'freehold-bench-servers-'));
  const server = await startServer({
    FREEHOLD_DATA_DIR: join(folder, 'data'),
    FREEHOLD_CACHE_DIR: CACHE_DIR,
    FREEHOLD_PORT: '0',
    FREEHOLD_ADMIN_KEY: ADMIN_KEY,
    FREEHOLD_RATE_LIMITS: 'off',
    FREEHOLD_POOL_SIZE: '0',
  });
  try {
    const call = await accountOf(server);
    const key = join(folder, 'id');
    await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key]);
    const taken = { deploy_to_ssh: [], deploy_to_active: [], ssh: [], reboot: [], destroy: [] };
    // The first one warms what all others find warm.
    await round(call, folder, key);
    for (let n = 0; n < rounds; n++)
      for (const [name, ms] of Object.entries(await round(call, folder, key)))
        (taken[name as keyof typeof taken] as number[]).push(ms);
    const latencies = Object.entries(taken).map(([name, times]) => rowOf(name, 'ms', times));
    return { rounds, rows: [...latencies, ...(await backups(call, folder, key, Math.min(rounds, BACKUP_ROUNDS)))] };
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

type Reply = any; // oxlint-disable-line typescript/no-explicit-any -- what the server answers is looked at as a client does
type Call = (method: string, path: string, body?: unknown) => Promise<Reply>;

async function accountOf(server: ServerProcess): Promise<Call> {
  const ask = async (key: string | undefined, method: string, path: string, body?: unknown): Promise<Reply> => {
    const reply = await fetch(server.url + path, {
      method,
      headers: {
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return await reply.json();
  };
  const person = { email: 'bench@example.com', password: 'correct horse battery staple' };
  const { accessToken, user } = await ask(undefined, 'POST', '/auth/register', person);
  await ask(ADMIN_KEY, 'POST', '/v1/admin/credits', { account_id: user.id, amount_cents: CENTS });
  return (method, path, body) => ask(accessToken, method, path, body);
}

async function round(call: Call, folder: string, key: string) {
  const sshKey = (await readFile(`${key}.pub`, 'utf8')).trim();
  const begun = performance.now();
  const { server } = await call('POST', '/servers', { ...ORDER, sshKey });
  const shown = await untilActive(call, server);
  const deploy_to_active = performance.now() - begun;
  const ssh = await timed(() => overSsh(shown.ssh, folder, key));
  const deploy_to_ssh = performance.now() - begun;
  const reboot = await timed(async () => {
    await call('POST', `/servers/${server.id}/reboot`);
    await overSsh(shown.ssh, folder, key);
  });
  const destroy = await timed(() => destroyed(call, server.id));
  return { deploy_to_ssh, deploy_to_active, ssh, reboot, destroy };
}

async function untilActive(call: Call, server: Reply): Promise<Reply> {
  let shown = server;
  while (shown.status === 'PROVISIONING') {
    await sleep(LOOK_EVERY_MS);
    shown = (await call('GET', `/servers/${server.id}`)).server;
  }
  if (shown.status !== 'ACTIVE') throw new Error(`The server is ${shown.status}: ${shown.error}`);
  return shown;
}

async function destroyed(call: Call, id: string): Promise<void> {
  await call('DELETE', `/servers/${id}`);
  while ((await call('GET', `/servers/${id}`)).server) await sleep(LOOK_EVERY_MS);
}

/** One server that is backed up and restored again and again, beside the tools on its disk. */
async function backups(call: Call, folder: string, key: string, rounds: number): Promise<Row[]> {
  const sshKey = (await readFile(`${key}.pub`, 'utf8')).trim();
  const { server } = await call('POST', '/servers', { ...ORDER, sshKey });
  const shown = await untilActive(call, server);
  await overSsh(shown.ssh, folder, key, FILL);
  const disks = join(folder, 'data', 'machines');
  const [name = ''] = await readdir(disks);
  const disk = join(disks, name);
  const megabytes = ((await stat(disk)).blocks * BLOCK) / MB;
  const speeds: Record<'backup' | 'restore' | 'packed' | 'unpacked', number[]> = {
    backup: [],
    restore: [],
    packed: [],
    unpacked: [],
  };
  const measure = async (what: keyof typeof speeds, work: () => Promise<unknown>) =>
    void speeds[what].push(megabytes / ((await timed(work)) / 1_000));
  for (let n = 0; n < rounds; n++) {
    let backup: Reply;
    await measure('packed', () => must(toolCommand(PACK, disk, folder), { timeoutMs: TOOL_TIMEOUT_MS }));
    await measure('backup', async () => void (backup = await backedUp(call, server.id)));
    await measure('unpacked', () => must(toolCommand(UNPACK, disk, folder), { timeoutMs: TOOL_TIMEOUT_MS }));
    let restored: Reply;
    await measure('restore', async () => {
      restored = (await call('POST', `/backups/${backup.id}/restore`, { sshKey })).server;
      await overSsh((await untilActive(call, restored)).ssh, folder, key);
    });
    await destroyed(call, restored.id);
    await call('DELETE', `/backups/${backup.id}`);
  }
  await destroyed(call, server.id);
  return [beside('backup', speeds.backup, speeds.packed), beside('restore', speeds.restore, speeds.unpacked)];
}

async function backedUp(call: Call, serverId: string): Promise<Reply> {
  const { backup } = await call('POST', '/backups', { serverId });
  let shown = backup;
  while (shown.status === 'PENDING') {
    await sleep(LOOK_EVERY_MS);
    shown = (await call('GET', '/backups')).backups.find(({ id }: Reply) => id === backup.id);
  }
  if (shown.status !== 'AVAILABLE') throw new Error(`The backup is ${shown.status}: ${shown.error}`);
  return shown;
}

const TOOL_TIMEOUT_MS = 600_000;
/** $1 the disk, $2 a folder. */
const PACK = `tar --create --sparse --file=- --directory="$(dirname "$1")" "$(basename "$1")" | zstd -q -3 -T1 -f -o "$2/packed"; sync "$2/packed"`;
const UNPACK = `rm -rf "$2/unpacked"; mkdir "$2/unpacked"; zstd -q -d -c "$2/packed" | tar --extract --file=- --directory="$2/unpacked"`;
const toolCommand = (script: string, disk: string, folder: string) => [
  '/bin/sh',
  '-e',
  '-c',
  script,
  'tool',
  disk,
  folder,
];

function beside(measure: string, ours: number[], theirs: number[]): Row {
  const row = rowOf(measure, 'MB/s', ours);
  const baseline = rowOf(measure, 'MB/s', theirs).median;
  return { ...row, baseline, ratio: row.median / baseline };
}

async function overSsh(
  { host, port, knownHosts }: Access,
  folder: string,
  key: string,
  command = 'true',
): Promise<void> {
  const known = join(folder, 'known_hosts');
  await writeFile(known, `${knownHosts}\n`);
  const options = { StrictHostKeyChecking: 'yes', UserKnownHostsFile: known, IdentitiesOnly: 'yes', BatchMode: 'yes' };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  await must(['ssh', '-F', 'none', ...flags, '-i', key, '-p', String(port), `root@${host}`, command]);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

function rowOf(measure: string, unit: string, times: number[]): Row {
  const sorted = times.toSorted((a, b) => a - b);
  const median = sorted[Math.ceil(sorted.length / 2) - 1] ?? 0;
  return { measure, unit, median, min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 };
}
