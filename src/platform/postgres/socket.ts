import { createHash } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { giveTo, type RunAs } from './privileges.ts';

/** Names the socket file; no TCP port is ever opened. */
export const PORT = 5432;
/** What is left of the 107 bytes of a socket's address for its folder: PostgreSQL appends `/.s.PGSQL.5432`. */
const MAX_FOLDER_BYTES = 90;

/**
 * The folder of the socket of the cluster in `home`. Data directories may lie deeper than a socket's address may be
 * long, so it is not there but in a short place, under a name made of the cluster's path.
 *
 * Whoever can enter this folder is let in as any role without a password: it admits its owner alone (and root). The
 * folder around it belongs to root or to us, so that nobody else can put another in its place.
 */
export async function ensureSocketFolder(home: string, runAs: RunAs): Promise<string> {
  await ensureOwnFolder(surroundingFolder());
  const folder = socketFolderOf(home);
  await mkdir(folder, { mode: 0o700 }).catch(ifThere);
  await giveTo(runAs, folder);
  return folder;
}

/** `home` is a real path: the same folder has to give the same name to everybody. */
export const socketFolderOf = (home: string): string =>
  path.join(surroundingFolder(), createHash('sha256').update(home).digest('hex').slice(0, 12));

function surroundingFolder(): string {
  if (process.getuid?.() === 0) return process.platform === 'linux' ? '/run/freehold' : '/var/run/freehold';
  const personal = process.env['XDG_RUNTIME_DIR'];
  const folder = personal === undefined ? undefined : path.join(personal, 'freehold');
  if (folder !== undefined && Buffer.byteLength(folder) + 13 <= MAX_FOLDER_BYTES) return folder;
  return `/tmp/freehold-${process.getuid?.() ?? 'user'}`;
}

/** Makes the folder, or refuses one that somebody else owns or may write to: `/tmp` is everybody's. */
async function ensureOwnFolder(folder: string): Promise<void> {
  const mode = process.getuid?.() === 0 ? 0o755 : 0o700;
  await mkdir(folder, { mode }).catch(ifThere);
  const found = await lstat(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o022) !== 0)
    throw new Error(`${folder} must be a folder that only you can write to, for the socket of PostgreSQL: remove it.`);
}

function ifThere(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
}

/** The address of a database of the cluster, for `pg`, libpq and every tool that takes a URL. */
export const urlOf = (socketFolder: string, role: string, database: string): string =>
  `postgresql://${role}@localhost:${PORT}/${database}?host=${encodeURIComponent(socketFolder)}`;
