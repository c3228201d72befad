import { chown, readFile, stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * PostgreSQL refuses to run as root. Where we are root it gets a uid of its own, out of the range that the tables of
 * systemd (60578–61183) and of Debian's policy leave to nobody.
 */
export const POSTGRES_UID = 60_832;

/** As whom a program of PostgreSQL runs: as ourselves, or (where we are root) as a uid with little power. */
export type RunAs = { kind: 'self' } | { kind: 'uid'; uid: number; passesAnyFolder: boolean };

/** A program and its arguments. */
export type Command = { file: string; args: string[] };

/** Decides as whom the programs run that must reach `folders`. */
export async function decideRunAs(folders: string[]): Promise<RunAs> {
  if (process.getuid?.() !== 0) return { kind: 'self' };
  const closed = await firstClosedFolder(folders);
  if (closed !== undefined && !(await mayPassOnPower()))
    throw new Error(
      `PostgreSQL does not run as root, and other users cannot enter ${closed}: open it (chmod o+x) or set FREEHOLD_DATA_DIR to a folder elsewhere.`,
    );
  return { kind: 'uid', uid: POSTGRES_UID, passesAnyFolder: closed !== undefined };
}

/**
 * The command that runs a program with those privileges. A checkout or data directory may lie under a folder that only
 * root enters (`/root`); there the programs keep the one capability to pass through folders and read, and no other.
 * The secure bit lets access(2), with which they look for each other, count that capability too; without it the call
 * asks for what the bare uid may do. A bind mount would need a mount namespace, which would pin every other mount of the host for PostgreSQL's lifetime.
 */
export function asUser(runAs: RunAs, { file, args }: Command): Command {
  if (runAs.kind === 'self') return { file, args };
  const { uid, passesAnyFolder } = runAs;
  const identity = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--no-new-privs'];
  const powers = passesAnyFolder
    ? ['--inh-caps=-all,+dac_read_search', '--ambient-caps=+dac_read_search', '--securebits=+no_setuid_fixup']
    : ['--inh-caps=-all'];
  return { file: 'setpriv', args: [...identity, ...powers, file, ...args] };
}

/** The command that gets an interrupt when the process dies that started it, where the system can do that. */
export function endingWithUs({ file, args }: Command): Command {
  if (process.platform !== 'linux') return { file, args };
  return { file: 'setpriv', args: ['--pdeathsig', 'INT', file, ...args] };
}

/** Gives a file or folder to the user that PostgreSQL runs as. */
export async function giveTo(runAs: RunAs, target: string): Promise<void> {
  if (runAs.kind === 'uid') await chown(target, runAs.uid, runAs.uid);
}

/**
 * As whom `initdb` runs: it asks for its own name, so it needs a user who has one. What it makes is given to the
 * server's uid afterwards.
 */
export async function named(runAs: RunAs): Promise<RunAs> {
  if (runAs.kind === 'self') return runAs;
  const users = await readFile('/etc/passwd', 'utf8');
  const nobody = /^nobody:[^:]*:(\d+):/m.exec(users)?.[1];
  if (nobody === undefined)
    throw new Error('PostgreSQL does not run as root and /etc/passwd has no user "nobody": add one.');
  return { ...runAs, uid: Number(nobody) };
}

const CAP_DAC_READ_SEARCH = 1n << 2n;

/** Whether we have the capability to hand on; a container's root often lacks it. */
async function mayPassOnPower(): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  const permitted = /^CapPrm:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return (BigInt(`0x${permitted}`) & CAP_DAC_READ_SEARCH) !== 0n;
}

async function firstClosedFolder(folders: string[]): Promise<string | undefined> {
  for (const folder of folders.flatMap(withParents)) {
    const { mode } = await stat(folder);
    if ((mode & 0o001) === 0) return folder;
  }
  return undefined;
}

function withParents(folder: string): string[] {
  const parent = path.dirname(folder);
  return parent === folder ? [folder] : [...withParents(parent), folder];
}
