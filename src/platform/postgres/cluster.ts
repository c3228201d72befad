import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { flush } from '../flush.ts';
import { ifMissing, MAJOR_VERSION, UNFINISHED, type Binaries } from './binaries.ts';
import { asUser, giveTo, named, type RunAs } from './privileges.ts';

const run = promisify(execFile);

/** The bootstrap superuser. The server's own roles are less: see `roles.ts`. */
export const SUPERUSER = 'postgres';

/**
 * The folder of the cluster in `home`, made where it does not exist. It is made beside its place and renamed, so that
 * it is either whole or not there, wherever we are interrupted. The caller holds the start lock.
 */
export async function ensureCluster(home: string, binaries: Binaries, runAs: RunAs): Promise<string> {
  const folder = path.join(home, MAJOR_VERSION);
  await removeUnfinished(home);
  const version = await readFile(path.join(folder, 'PG_VERSION'), 'utf8').catch(ifMissing);
  if (version === undefined) await makeCluster(folder, binaries, runAs);
  else if (version.trim() !== MAJOR_VERSION)
    throw new Error(
      `${folder} is of PostgreSQL ${version.trim()}, and this is PostgreSQL ${MAJOR_VERSION}: upgrade it with pg_upgrade.`,
    );
  return folder;
}

async function makeCluster(folder: string, binaries: Binaries, runAs: RunAs): Promise<void> {
  const unfinished = `${folder}${UNFINISHED}${randomUUID()}`;
  const maker = await named(runAs);
  await mkdir(unfinished, { mode: 0o700 });
  await giveTo(maker, unfinished);
  await initialise(unfinished, binaries, maker);
  if (runAs.kind === 'uid') await run('chown', ['-R', '-h', `${runAs.uid}:${runAs.uid}`, unfinished]);
  await rename(unfinished, folder);
  // What is written into the cluster later must not come back under the old name.
  await flush(path.dirname(folder));
}

/** Encoding, collation and checksums are fixed for good here; the built-in collation is the same on every system. */
async function initialise(folder: string, binaries: Binaries, maker: RunAs): Promise<void> {
  const args = [
    ['--pgdata', folder, '--username', SUPERUSER],
    ['--encoding', 'UTF8', '--locale', 'C', '--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8'],
    ['--auth-local', 'trust', '--auth-host', 'reject', '--data-checksums', '--no-instructions'],
  ].flat();
  const command = asUser(maker, { file: binaries.initdb, args });
  await run(command.file, command.args, { cwd: folder, env: programEnvironment(binaries) });
}

/** The little that PostgreSQL's programs need; none of our own environment, which holds secrets. */
export const programEnvironment = (binaries: Binaries): NodeJS.ProcessEnv => ({
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
  [process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH']: binaries.libraryPath,
});

/** An interrupted `initdb` may still write for a moment, hence the retries. */
async function removeUnfinished(home: string): Promise<void> {
  const left = (await readdir(home)).filter((name) => name.includes(UNFINISHED));
  await Promise.all(left.map((name) => rm(path.join(home, name), { recursive: true, force: true, maxRetries: 20 })));
}
