import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { must, proxyEnvironment, type Command } from '../../../platform/run.ts';
import { lockExclusive, tryLockExclusive, type HeldLock } from '../../../platform/locks.ts';
import type { IdRange } from '../drivers/oci/bundle.ts';
import { aptFetchOptions, debianSources } from './sources.ts';

const RELEASE = 'bookworm';
const LEFT_OUT = ['/usr/share/doc/*', '/usr/share/info/*', '/usr/share/locale/*', '/usr/share/man/*'];

/** An image that this host builds for itself out of Debian packages. */
export type DebianImage = {
  name: string;
  packages: readonly string[];
  /** A shell script that runs on the finished tree, $1. */
  finish: string;
};

/** What an image is made of; anything that changes here makes a new image beside the old one. */
const recipeOf = ({ packages, finish }: DebianImage) => ({
  form: 1,
  release: RELEASE,
  packages,
  leftOut: LEFT_OUT,
  finish,
});

const BUILD_TIMEOUT_MS = 30 * 60_000;
const UNPACK_TIMEOUT_MS = 10 * 60_000;
const OWNER_ONLY = 0o700;
const HASH_LENGTH = 16;
const DRAFT = '.draft-';

export type ImageBuildOptions = { cacheDir: string; ids: IdRange; progress: (line: string) => void };

/** Where an image is, or will be. Machines of running servers may use older ones, so none is ever removed. */
export function debianImageDir(image: DebianImage, cacheDir: string, ids: IdRange): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([recipeOf(image), ids, process.arch]))
    .digest('hex')
    .slice(0, HASH_LENGTH);
  return join(imagesDir(cacheDir), `${image.name}-${hash}`, 'rootfs');
}

const imagesDir = (cacheDir: string): string => join(cacheDir, 'images');

export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return false;
    },
  );

/** Builds an image unless it is there. Of several builders one builds; a builder that was killed leaves no trace. */
export async function ensureDebianImage(image: DebianImage, options: ImageBuildOptions): Promise<{ built: boolean }> {
  const target = debianImageDir(image, options.cacheDir, options.ids);
  if (await exists(target)) return { built: false };
  const images = imagesDir(options.cacheDir);
  const draft = `${DRAFT}${image.name}-`;
  const progress = (line: string) => options.progress(`${image.name} image: ${line}`);
  // Set-user-id programs of the image belong to the machines' root, which no user of the host may become.
  await mkdir(images, { recursive: true, mode: OWNER_ONLY });
  const lock = await lockBuilding(join(images, `${image.name}.lock`), progress);
  try {
    if (await exists(target)) return { built: false };
    await removeDrafts(images, draft);
    const dir = join(images, draft + randomBytes(6).toString('hex'));
    await build(image, dir, join(target, '..'), { ...options, progress });
    return { built: true };
  } finally {
    lock.release();
  }
}

async function lockBuilding(file: string, progress: ImageBuildOptions['progress']): Promise<HeldLock> {
  const free = tryLockExclusive(file);
  if (free) return free;
  progress('another process is building it, waiting');
  return lockExclusive(file);
}

async function removeDrafts(images: string, draft: string): Promise<void> {
  const drafts = (await readdir(images)).filter((name) => name.startsWith(draft));
  for (const name of drafts) await rm(join(images, name), { recursive: true, force: true });
}

async function build(image: DebianImage, draft: string, target: string, options: ImageBuildOptions): Promise<void> {
  const work = join(draft, 'work');
  const archive = join(work, 'image.tar');
  const rootfs = join(draft, 'image', 'rootfs');
  await mkdir(work, { recursive: true });
  await mkdir(rootfs, { recursive: true });
  options.progress(`installing Debian ${RELEASE}`);
  const sources = await debianSources(RELEASE);
  await must(bootstrapCommand(image, archive, sources, await aptFetchOptions()), {
    stdin: sources.join('\n'),
    env: { ...proxyEnvironment(), TMPDIR: work, DEBIAN_FRONTEND: 'noninteractive' },
    timeoutMs: BUILD_TIMEOUT_MS,
    dieWithParent: true,
    onOutput: (_, chunk) => reportLines(chunk, options.progress),
  });
  options.progress('unpacking');
  await must(unpackCommand(archive, rootfs, options.ids), { timeoutMs: UNPACK_TIMEOUT_MS, dieWithParent: true });
  await must(['sync', '-f', rootfs]);
  await rename(join(draft, 'image'), target);
  await rm(draft, { recursive: true, force: true });
  options.progress('ready');
}

/**
 * Everything that a command starts or mounts ends with it: its processes and its mounts are in namespaces of their
 * own, whose first process dies with the command.
 */
export const SEALED: Command = [
  'unshare',
  '--mount',
  '--propagation',
  'private',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
  '--',
];

/** Installs the packages into an archive. Reads the sources on its input; a host without any gets Debian's own. */
const bootstrapCommand = (image: DebianImage, archive: string, sources: string[], aptOptions: string[]): Command => [
  ...SEALED,
  'mmdebstrap',
  '--mode=root',
  '--variant=minbase',
  `--include=${image.packages.join(',')}`,
  ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
  ...aptOptions.map((option) => `--aptopt=${option}`),
  `--customize-hook=${image.finish}`,
  '--skip=output/dev',
  RELEASE,
  archive,
  ...(sources.length > 0 ? ['-'] : []),
];

/**
 * $1 archive, $2 directory, $3 first host id, $4 count. Unpacks as root of a user namespace with the machines' range:
 * owners, set-user-id bits and file capabilities come out as a machine will see them.
 */
const UNPACK_SCRIPT = `
chown "$3:$3" "$2"
chmod 755 "$2"
cd "$2"
unshare --user sleep infinity &
holder=$!
while [ "$(readlink /proc/$holder/ns/user)" = "$(readlink /proc/self/ns/user)" ]; do sleep 0.01; done
echo "0 $3 $4" > /proc/$holder/uid_map
echo "0 $3 $4" > /proc/$holder/gid_map
exec nsenter --user --target $holder --setuid 0 --setgid 0 \\
  tar --extract --same-permissions --numeric-owner --xattrs --xattrs-include='*' < "$1"
`;

const unpackCommand = (archive: string, directory: string, ids: IdRange): Command => [
  ...SEALED,
  '/bin/sh',
  '-e',
  '-c',
  UNPACK_SCRIPT,
  'unpack',
  archive,
  directory,
  String(ids.first),
  String(ids.count),
];

/** mmdebstrap tells each of its steps on a line that begins with `I:`. */
function reportLines(chunk: Buffer, progress: (line: string) => void): void {
  for (const [, step] of chunk.toString().matchAll(/^I: (.*)$/gm)) if (step) progress(step);
}
