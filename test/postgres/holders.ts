import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { onTestFinished } from 'vitest';
import { createLog } from '../../src/platform/log.ts';
import { MAJOR_VERSION } from '../../src/platform/postgres/binaries.ts';
import { findPostmaster, stopPostmaster } from '../../src/platform/postgres/postmaster.ts';
import { socketFolderOf } from '../../src/platform/postgres/socket.ts';
import { startPostgres, type EmbeddedPostgres } from '../../src/platform/postgres/index.ts';

export type Holder = { child: ChildProcess; pid: number; ownerUrl: string; appUrl: string };
export type HolderOptions = { file?: string; through?: string[]; life?: 'own' | 'ours' };

const HOLDER = path.join(import.meta.dirname, 'holder.ts');

/** Starts a process that uses the data directory's PostgreSQL; resolves when it does. */
export async function startHolder(dataDir: string, options: HolderOptions = {}): Promise<Holder> {
  const child = spawnHolder(dataDir, options);
  const errors = text(child.stderr);
  const [line] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [Buffer | number | null];
  if (!Buffer.isBuffer(line)) throw new Error(`The holder ended with ${line}: ${await errors}`);
  return { child, ...(JSON.parse(line.toString()) as Omit<Holder, 'child'>) };
}

export function spawnHolder(
  dataDir: string,
  { file = HOLDER, through = [], life = 'own' }: HolderOptions = {},
): ChildProcessByStdio<null, Readable, Readable> {
  const command: string[] = [...through, process.execPath, file, dataDir, life];
  const [program = '', ...args] = command;
  return spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Stops a holder in the ordinary way. */
export async function stopHolder({ child }: Holder): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const [code] = await ended;
  if (code !== 0) throw new Error(`The holder ended with ${String(code)}.`);
}

/** Ends a process as a power cut would, and waits until it is gone. */
export async function killNow(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** A data directory of the test's own; when the test is over its PostgreSQL is ended and everything removed. */
export async function dataDirectory(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'freehold-pg-'));
  onTestFinished(() => removeDataDirectory(folder));
  return folder;
}

export async function removeDataDirectory(folder: string): Promise<void> {
  await endPostgres(folder);
  await rm(folder, { recursive: true, force: true });
}

/** Ends the PostgreSQL of a data directory, whoever uses it. */
export async function endPostgres(folder: string): Promise<void> {
  const home = await realpath(path.join(folder, 'postgres')).catch(() => folder);
  const cluster = path.join(home, MAJOR_VERSION);
  const running = await findPostmaster(cluster);
  if (running) await stopPostmaster(running, cluster);
  await rm(socketFolderOf(home), { recursive: true, force: true });
}

/** Uses the data directory's PostgreSQL from the test's own process. */
export const use = (dataDir: string): Promise<EmbeddedPostgres> =>
  startPostgres({ dataDir, log: createLog({ level: 'silent' }), life: 'ours' });

/** One statement on a connection of its own. */
export async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  return client
    .query<Record<string, unknown>>(statement)
    .then(({ rows }) => rows)
    .finally(() => client.end());
}

/** Repeats `look` until it answers something; for what happens by itself after a while. */
export async function eventually<Found>(look: () => Promise<Found | undefined>): Promise<Found> {
  for (let tries = 0; tries < 600; tries++) {
    const found = await look().catch(() => undefined);
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('It did not happen within 30 s.');
}
