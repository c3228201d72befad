import { readFile, readdir, readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ifMissing } from './binaries.ts';

const POLL_MS = 10;

/**
 * Whether a process still runs. A signal of 0 is no proof: where the first process of a container reaps late, a dead
 * one stays a zombie which can be signalled. A pid alone is no proof either, because it may have been given again:
 * every process of a cluster works in the cluster's folder, so that is compared too.
 */
export async function worksIn(pid: number, folder: string): Promise<boolean> {
  if (process.platform !== 'linux') return canBeSignalled(pid);
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(ifGone);
  if (status === undefined || isDead(status)) return false;
  return (await readlink(`/proc/${pid}/cwd`).catch(ifGone)) === folder;
}

/** All processes that work in a folder; none where the system cannot tell. */
export async function processesIn(folder: string): Promise<number[]> {
  if (process.platform !== 'linux') return [];
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(async (pid) => ((await worksIn(pid, folder)) ? [pid] : [])));
  return found.flat();
}

/** Waits until a process is gone; false where it still is there after `withinMs`. */
export async function isGoneWithin(pid: number, folder: string, withinMs: number): Promise<boolean> {
  for (let waited = 0; waited < withinMs; waited += POLL_MS) {
    if (!(await worksIn(pid, folder))) return true;
    await sleep(POLL_MS);
  }
  return false;
}

/** Sends a signal; a process that is gone already needs none. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** The state letter follows the program's name, which stands in parentheses and may hold any character. */
const isDead = (status: string): boolean => /^[ZX]/.test(status.slice(status.lastIndexOf(')') + 2));

function canBeSignalled(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false; // gone, or somebody else's: not ours in either case
  }
}

/** A process may end between two looks at it; one that we may not look into is not ours. */
function ifGone(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && ['ESRCH', 'EACCES', 'EPERM'].includes(String(error.code)))
    return undefined;
  return ifMissing(error);
}
