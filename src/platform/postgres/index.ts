import { chmod, mkdir, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Log } from '../log.ts';
import { findBinaries } from './binaries.ts';
import { ensureCluster, SUPERUSER } from './cluster.ts';
import { lockExclusive, lockShared, tryLockExclusive, type HeldLock } from '../locks.ts';
import { ensurePostmaster, findPostmaster, stopPostmaster, type Setting } from './postmaster.ts';
import { decideRunAs } from './privileges.ts';
import { APPLICATION, DATABASE, ensureRoles, OWNER } from './roles.ts';
import { ensureSocketFolder, urlOf } from './socket.ts';

export type PostgresOptions = {
  /** Everything lies in `postgres/` below it. */
  dataDir: string;
  log: Log;
  /** `own`: it outlives a process that is killed, and the next start adopts it. `ours`: it ends with its starter. */
  life?: 'own' | 'ours';
};

export type EmbeddedPostgres = {
  /** For migrations: the role that owns the schema. */
  ownerUrl: string;
  /** For serving: the role that owns nothing. */
  appUrl: string;
  /** Process id of the postmaster; another one after it was killed and started again. */
  readonly pid: number;
  /** Lets go of it; it ends when no other process of ours uses it. */
  stop(): Promise<void>;
};

const RESTART_PAUSE_MIN_MS = 100;
const RESTART_PAUSE_MAX_MS = 5_000;

/**
 * Starts the embedded PostgreSQL of a data directory, or joins the one that runs on it already: another process of
 * ours uses it, or a killed one left it. While anybody uses it, it is started again whenever it dies.
 *
 * Two files order this among processes: whoever starts or stops it holds `start.lock` alone; whoever uses it holds
 * `users.lock` together with the others. The kernel drops both locks of a killed process.
 */
export async function startPostgres({ dataDir, log, life = 'own' }: PostgresOptions): Promise<EmbeddedPostgres> {
  const home = await ensureHome(dataDir);
  const starting = await lockExclusive(path.join(home, 'start.lock'));
  try {
    const setting = { ...(await prepare(home)), life };
    const postmaster = await ensurePostmaster(setting);
    await withSuperuser(setting, ensureRoles);
    const use = await lockShared(path.join(home, 'users.lock'));
    log.info({ pid: postmaster.pid, socket: setting.socketFolder }, 'postgres ready');
    return supervise(home, setting, use, postmaster.pid, log);
  } finally {
    starting.release();
  }
}

async function ensureHome(dataDir: string): Promise<string> {
  const home = path.resolve(dataDir, 'postgres');
  await mkdir(home, { recursive: true });
  await chmod(home, 0o755);
  return realpath(home);
}

async function prepare(home: string): Promise<Omit<Setting, 'life'>> {
  const binaries = await findBinaries(home, { readableByAll: process.getuid?.() === 0 });
  const runAs = await decideRunAs([binaries.root, binaries.linksFolder]);
  const cluster = await ensureCluster(home, binaries, runAs);
  const socketFolder = await ensureSocketFolder(home, runAs);
  return { binaries, runAs, cluster, socketFolder, outputFile: path.join(home, 'start.log') };
}

/** Watches over a connection of its own: when that breaks, something happened to the server. */
function supervise(home: string, setting: Setting, use: HeldLock, firstPid: number, log: Log): EmbeddedPostgres {
  const ending = new AbortController();
  let pid = firstPid;

  const revive = async (): Promise<void> => {
    const starting = await lockExclusive(path.join(home, 'start.lock'));
    try {
      if (ending.signal.aborted) return;
      const postmaster = await ensurePostmaster({
        ...setting,
        socketFolder: await ensureSocketFolder(home, setting.runAs),
      });
      if (postmaster.pid !== pid) log.warn({ pid: postmaster.pid, before: pid }, 'postgres started again');
      pid = postmaster.pid;
    } finally {
      starting.release();
    }
  };
  const watching = watch(setting, ending.signal, revive, log);

  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    ending.abort();
    await watching;
    await leave(home, setting, use, log);
  };

  return {
    ownerUrl: urlOf(setting.socketFolder, OWNER, DATABASE),
    appUrl: urlOf(setting.socketFolder, APPLICATION, DATABASE),
    get pid() {
      return pid;
    },
    stop: () => (stopped ??= stop()),
  };
}

async function watch(setting: Setting, ending: AbortSignal, revive: () => Promise<void>, log: Log): Promise<void> {
  const ended = new Promise<void>((resolve) => ending.addEventListener('abort', () => resolve(), { once: true }));
  let pauseMs = 0;
  let next: 'look' | 'revive' = 'look';
  while (!ending.aborted) {
    try {
      if (next === 'revive') await revive();
      await untilConnectionBreaks(setting, ended);
      pauseMs = 0;
    } catch (error) {
      pauseMs = Math.min(Math.max(pauseMs * 2, RESTART_PAUSE_MIN_MS), RESTART_PAUSE_MAX_MS);
      log.error({ err: error, retryInMs: pauseMs }, 'postgres does not come back');
      await sleep(pauseMs, undefined, { signal: ending }).catch(() => {}); // an abort only cuts the pause short
    }
    next = 'revive';
  }
}

async function untilConnectionBreaks(setting: Setting, ended: Promise<void>): Promise<void> {
  const client = superuserClient(setting);
  const broken = new Promise<void>((resolve) => {
    client.on('error', () => resolve());
    client.on('end', () => resolve());
  });
  await client.connect();
  await Promise.race([broken, ended]);
  await client.end().catch(() => {}); // it is broken, or we leave: nothing is lost with it
}

/** Stops the server unless somebody else uses it. A process that starts meanwhile waits at `start.lock`. */
async function leave(home: string, setting: Setting, use: HeldLock, log: Log): Promise<void> {
  const starting = await lockExclusive(path.join(home, 'start.lock'));
  try {
    use.release();
    const last = tryLockExclusive(path.join(home, 'users.lock'));
    if (!last) return;
    const running = await findPostmaster(setting.cluster);
    if (running) await stopPostmaster(running, setting.cluster);
    await rm(setting.socketFolder, { recursive: true, force: true });
    last.release();
    log.info({ pid: running?.pid }, 'postgres stopped');
  } finally {
    starting.release();
  }
}

async function withSuperuser(setting: Setting, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = superuserClient(setting);
  client.on('error', () => {}); // the statement under way fails, and that is heard
  await client.connect();
  await work(client).finally(() => client.end());
}

const superuserClient = ({ socketFolder }: Setting): pg.Client =>
  new pg.Client({
    connectionString: urlOf(socketFolder, SUPERUSER, 'postgres'),
    application_name: 'freehold supervisor',
    idle_in_transaction_session_timeout: 0,
  });
