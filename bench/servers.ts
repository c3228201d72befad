/**
 * What renting a server costs in time, as an agent meets it: the whole server in a process of its own, over HTTP on
 * loopback, and the real OpenSSH client with strict host key checking. `deploy_to_ssh` is from the wish to the first
 * command done over SSH, with the status asked for ten times a second; `deploy_to_active` is its first part; `reboot`
 * is from the wish until a command is done again. One SSH connection alone is `ssh`, the rest of `deploy_to_ssh`.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startServer, type ServerProcess } from '../bin/server-process.ts';
import { must } from '../src/platform/run.ts';
import type { Row } from './run.ts';

const ROUNDS = 15;
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
    return { rounds, rows: Object.entries(taken).map(([name, times]) => rowOf(name, times)) };
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
  let shown = server;
  while (shown.status === 'PROVISIONING') {
    await sleep(LOOK_EVERY_MS);
    shown = (await call('GET', `/servers/${server.id}`)).server;
  }
  if (shown.status !== 'ACTIVE') throw new Error(`The server is ${shown.status}: ${shown.error}`);
  const deploy_to_active = performance.now() - begun;
  const ssh = await timed(() => overSsh(shown.ssh, folder, key));
  const deploy_to_ssh = performance.now() - begun;
  const reboot = await timed(async () => {
    await call('POST', `/servers/${server.id}/reboot`);
    await overSsh(shown.ssh, folder, key);
  });
  const destroy = await timed(async () => {
    await call('DELETE', `/servers/${server.id}`);
    while ((await call('GET', `/servers/${server.id}`)).server) await sleep(LOOK_EVERY_MS);
  });
  return { deploy_to_ssh, deploy_to_active, ssh, reboot, destroy };
}

async function overSsh({ host, port, knownHosts }: Access, folder: string, key: string): Promise<void> {
  const known = join(folder, 'known_hosts');
  await writeFile(known, `${knownHosts}\n`);
  const options = { StrictHostKeyChecking: 'yes', UserKnownHostsFile: known, IdentitiesOnly: 'yes', BatchMode: 'yes' };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  await must(['ssh', '-F', 'none', ...flags, '-i', key, '-p', String(port), `root@${host}`, 'true']);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

function rowOf(measure: string, times: number[]): Row {
  const sorted = times.toSorted((a, b) => a - b);
  const median = sorted[Math.ceil(sorted.length / 2) - 1] ?? 0;
  return { measure, unit: 'ms', median, min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 };
}
