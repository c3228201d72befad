import { spawn } from 'node:child_process';
import { open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { ifMissing, type Binaries } from './binaries.ts';
import { programEnvironment, SUPERUSER } from './cluster.ts';
import { asUser, endingWithUs, type RunAs } from './privileges.ts';
import { isGoneWithin, processesIn, signal, worksIn } from './processes.ts';
import { PORT, urlOf } from './socket.ts';

/** What a postmaster is started with. `cluster` is a real path: processes are recognised by it. */
export type Setting = {
  binaries: Binaries;
  runAs: RunAs;
  life: 'own' | 'ours';
  cluster: string;
  socketFolder: string;
  outputFile: string;
};
export type Postmaster = { pid: number; socketFolder: string };

const POLL_MS = 20;
const CONNECT_TIMEOUT_MS = 5_000;
/** Crash recovery replays up to `max_wal_size` before it answers. */
const START_TIMEOUT_MS = 300_000;
/** A fast shutdown writes what is in memory to the disk. */
const STOP_TIMEOUT_MS = 60_000;
const IMMEDIATE_STOP_TIMEOUT_MS = 5_000;
const KILL_TIMEOUT_MS = 5_000;

/** Given on the command line, so that a cluster made by an older version runs with the settings of this one. */
const SETTINGS = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '200',
  shared_buffers: '128MB',
  max_wal_size: '1GB',
  checkpoint_timeout: '15min',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  jit: 'off',
  idle_in_transaction_session_timeout: '120s',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // A week of logs beside the data, each day overwriting the one of a week ago.
  logging_collector: 'on',
  log_directory: 'log',
  log_filename: 'postgresql-%a.log',
  log_rotation_age: '1d',
  log_rotation_size: '0',
  log_truncate_on_rotation: 'on',
  log_checkpoints: 'off',
  log_line_prefix: '%m [%p] %q%u@%d ',
} as const satisfies Record<string, string>;

/**
 * Makes sure that a postmaster serves the cluster: adopts one that answers, waits for one that starts, ends one that
 * does not answer any more, clears away what a killed one left. The caller holds the start lock.
 */
export async function ensurePostmaster(setting: Setting): Promise<Postmaster> {
  const running = await findPostmaster(setting.cluster);
  if (running && (await isCurrent(running, setting)) && (await becomesReady(running, setting))) return running;
  if (running) await stopPostmaster(running, setting.cluster);
  await clearAway(setting);
  return startPostmaster(setting);
}

/** The postmaster that runs on the cluster, by the file it writes into it. */
export async function findPostmaster(cluster: string): Promise<Postmaster | undefined> {
  const lines = (await readPidFile(cluster))?.split('\n');
  const pid = Number(lines?.[0]);
  if (lines === undefined || !Number.isInteger(pid) || pid <= 0 || !(await worksIn(pid, cluster))) return undefined;
  return { pid, socketFolder: lines[4] ?? '' };
}

/** Ends it: politely, then at once with recovery at the next start, then by force. */
export async function stopPostmaster({ pid }: Postmaster, cluster: string): Promise<void> {
  const steps = [
    { name: 'SIGINT', withinMs: STOP_TIMEOUT_MS },
    { name: 'SIGQUIT', withinMs: IMMEDIATE_STOP_TIMEOUT_MS },
    { name: 'SIGKILL', withinMs: KILL_TIMEOUT_MS },
  ] as const;
  for (const { name, withinMs } of steps) {
    signal(pid, name);
    if (await isGoneWithin(pid, cluster, withinMs)) return;
  }
  throw new Error(`PostgreSQL (pid ${pid}) does not end.`);
}

/** One that listens elsewhere cannot be reached; one that is shutting down will not come back. */
async function isCurrent(running: Postmaster, setting: Setting): Promise<boolean> {
  return running.socketFolder === setting.socketFolder && (await statusOf(setting.cluster)) !== 'stopping';
}

async function statusOf(cluster: string): Promise<string | undefined> {
  return (await readPidFile(cluster))?.split('\n')[7]?.trim();
}

const readPidFile = (cluster: string): Promise<string | undefined> =>
  readFile(path.join(cluster, 'postmaster.pid'), 'utf8').catch(ifMissing);

/**
 * Removes the lock files of a dead postmaster (PostgreSQL would believe in them as long as anything has its pid, a
 * zombie or a stranger) and ends server processes that outlived it, which hold its shared memory.
 */
async function clearAway({ cluster, socketFolder }: Setting): Promise<void> {
  await endAll(cluster, 'SIGQUIT', IMMEDIATE_STOP_TIMEOUT_MS);
  await endAll(cluster, 'SIGKILL', KILL_TIMEOUT_MS);
  const socket = path.join(socketFolder, `.s.PGSQL.${PORT}`);
  for (const file of [path.join(cluster, 'postmaster.pid'), `${socket}.lock`, socket]) await rm(file, { force: true });
}

/** All at once: the process that writes the log waits for the others to let go of it. */
async function endAll(cluster: string, name: 'SIGQUIT' | 'SIGKILL', withinMs: number): Promise<void> {
  const pids = await processesIn(cluster);
  for (const pid of pids) signal(pid, name);
  await Promise.all(pids.map((pid) => isGoneWithin(pid, cluster, withinMs)));
}

/** In a session of its own, so that neither our end nor a terminal's interrupt is its end. */
async function startPostmaster(setting: Setting): Promise<Postmaster> {
  const { binaries, cluster, life, outputFile, runAs, socketFolder } = setting;
  const settings = Object.entries({ ...SETTINGS, unix_socket_directories: socketFolder });
  const args = ['-D', cluster, '-p', String(PORT), ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const program = { file: binaries.postgres, args };
  const command = asUser(runAs, life === 'ours' ? endingWithUs(program) : program);
  const output = await open(outputFile, 'w');
  const child = spawn(command.file, command.args, {
    cwd: cluster,
    env: programEnvironment(binaries),
    detached: true,
    stdio: ['ignore', output.fd, output.fd],
  });
  const failure = new Promise<Error>((resolve) => {
    child.once('error', resolve);
    child.once('exit', (code, name) => resolve(new Error(`PostgreSQL ended with ${name ?? `code ${code}`}`)));
  });
  child.unref();
  await output.close();
  const { pid } = child;
  if (pid !== undefined && (await becomesReady({ pid, socketFolder }, setting))) return { pid, socketFolder };
  const cause = await Promise.race([failure, sleep(KILL_TIMEOUT_MS, new Error('PostgreSQL does not answer'))]);
  throw new Error(`The embedded PostgreSQL does not start:\n${await readFile(outputFile, 'utf8')}`, { cause });
}

/** Waits for the first answer; false when the process ends, starts to stop, or takes too long. */
async function becomesReady({ pid, socketFolder }: Postmaster, { cluster }: Setting): Promise<boolean> {
  for (let waited = 0; waited < START_TIMEOUT_MS; waited += POLL_MS) {
    if (await answers(socketFolder)) return true;
    if (!(await worksIn(pid, cluster)) || (await statusOf(cluster)) === 'stopping') return false;
    await sleep(POLL_MS);
  }
  return false;
}

async function answers(socketFolder: string): Promise<boolean> {
  const client = new pg.Client({
    connectionString: urlOf(socketFolder, SUPERUSER, 'postgres'),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  client.on('error', () => {}); // the connection may break between its making and its end; the next look tells
  return client.connect().then(
    () => client.end().then(() => true),
    () => false,
  );
}
