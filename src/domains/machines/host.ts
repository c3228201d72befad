import { access, constants, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../kernel/errors.ts';
import { must, proxyEnvironment, run, SYSTEM_PATH } from '../../platform/run.ts';
import type { IdRange } from './drivers/oci/bundle.ts';
import type { RuntimeName } from './drivers/oci/commands.ts';
import { baseImageDir, ensureBaseImage } from './images/base.ts';
import { exists } from './images/debian.ts';
import { ensureInit } from './init/build.ts';

/** What has to be on the host, and the Debian package that brings it. */
const PROGRAMS = {
  nft: 'nftables',
  ip: 'iproute2',
  'mkfs.ext4': 'e2fsprogs',
  mmdebstrap: 'mmdebstrap',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  prlimit: 'util-linux',
  mount: 'mount',
  perl: 'perl-base',
  bash: 'bash',
  tar: 'tar',
  zstd: 'zstd',
  gcc: 'gcc',
} as const;
/** What is no program, by the path that it is found at. */
const FILES = { '/usr/include/stdlib.h': 'libc6-dev' } as const;
const RUNTIMES = ['crun', 'runc'] as const satisfies readonly RuntimeName[];

/** Far from the ranges that distributions hand out to people and other container engines. */
const FIRST_HOST_ID = 1_900_000_000;
const ID_COUNT = 65_536;
const SUBUID_USER = 'freehold';
const INSTALL_TIMEOUT_MS = 15 * 60_000;

export type HostOptions = {
  cacheDir: string;
  /** Install what is missing with apt; otherwise name it and stop. */
  installPackages: boolean;
  /** Container runtimes that must be there; where unset, any one will do. */
  runtimes?: readonly RuntimeName[];
  /** Further programs that must be there, each with the Debian package that brings it. */
  programs?: Readonly<Record<string, string>>;
  progress: (line: string) => void;
};

export type HostReport = {
  installed: string[];
  baseImage: { dir: string; built: boolean };
};

/**
 * Makes this host able to run machines: system packages, their init and the base image. Takes a moment where all are
 * there. Throws `unconfigured` with one sentence where something is missing that it may not or cannot install.
 */
export async function prepareHost(options: HostOptions): Promise<HostReport> {
  if (process.platform !== 'linux') throw new AppError('unconfigured', 'Machines need a Linux host.');
  if (process.getuid?.() !== 0)
    throw new AppError(
      'unconfigured',
      'Machines need root on their host (for namespaces, mounts and the firewall); start as root.',
    );
  const missing = await missingPackages(options);
  if (missing.length > 0) await install(missing, options);
  await ensureInit(options);
  const ids = await idRange();
  const { built } = await ensureBaseImage({ cacheDir: options.cacheDir, ids, progress: options.progress });
  return { installed: missing, baseImage: { dir: baseImageDir(options.cacheDir, ids), built } };
}

/** Host ids for machines: the range of a user `freehold` in /etc/subuid where there is one, else a fixed one. */
export async function idRange(): Promise<IdRange> {
  const ranges = await readFile('/etc/subuid', 'utf8').catch(absent);
  const own = ranges
    ?.split('\n')
    .map((line) => line.split(':'))
    .find(([user, , count]) => user === SUBUID_USER && Number(count) >= ID_COUNT);
  return { first: own === undefined ? FIRST_HOST_ID : Number(own[1]), count: ID_COUNT };
}

async function missingPackages({ runtimes, programs = {} }: HostOptions): Promise<string[]> {
  const installed = await Promise.all(RUNTIMES.map(isInstalled));
  const wanted = runtimes ?? (installed.includes(true) ? [] : RUNTIMES.slice(0, 1));
  const needed = [...Object.entries({ ...PROGRAMS, ...programs }), ...wanted.map((runtime) => [runtime, runtime])];
  const missing = await Promise.all([
    ...needed.map(async ([program, packageName]) => ((await isInstalled(program)) ? [] : [packageName])),
    ...Object.entries(FILES).map(async ([path, packageName]) => ((await exists(path)) ? [] : [packageName])),
  ]);
  return [...new Set(missing.flat())];
}

export async function isInstalled(program: string): Promise<boolean> {
  const found = await Promise.all(
    SYSTEM_PATH.split(':').map((directory) =>
      access(join(directory, program), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}

async function install(packages: string[], options: HostOptions): Promise<void> {
  const list = packages.join(' ');
  if (!options.installPackages || !(await isInstalled('apt-get')))
    throw new AppError(
      'unconfigured',
      `Machines need system packages that are missing here; install them with: apt-get install ${list}`,
    );
  options.progress(`system packages: installing ${list}`);
  const env = { ...proxyEnvironment(), DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args: string[]) => ['apt-get', '-q', '-o', 'DPkg::Lock::Timeout=600', ...args];
  try {
    // An installation that was killed half-way has to be finished before another can begin.
    await run(['dpkg', '--configure', '-a'], { env, timeoutMs: INSTALL_TIMEOUT_MS });
    await must(apt('update'), { env, timeoutMs: INSTALL_TIMEOUT_MS });
    await must(apt('install', '-y', '--no-install-recommends', ...packages), { env, timeoutMs: INSTALL_TIMEOUT_MS });
  } catch (cause) {
    throw new AppError('unconfigured', `Machines need system packages that apt could not install here: ${list}`, {
      cause,
    });
  }
  options.progress('system packages: ready');
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}
