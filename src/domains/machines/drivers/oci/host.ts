import { readdir, readFile, statfs, writeFile } from 'node:fs/promises';
import { hostname, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import { exists } from '../../images/debian.ts';
import { BASE, BUILDER, isBase } from '../../images/image.ts';
import type { HostRoom } from '../driver.ts';
import type { IdRange } from './bundle.ts';
import type { Cgroups } from './cgroup.ts';
import type { Runtime, RuntimeName } from './commands.ts';
import { diskUsage } from './disk.ts';
import type { Firewall } from './firewall.ts';
import type { Layout } from './layout.ts';
import type { Spawner } from '../../../../platform/spawner.ts';

/** Where the making of a machine, or its removal, has come to; tests end the process at each. */
export type Step =
  | 'directory'
  | 'disk'
  | 'container'
  | 'started'
  | 'recorded'
  | 'unrecorded'
  | 'killed'
  | 'forgotten'
  | 'undisked'
  | 'removed';

export type OciOptions = {
  runtime: RuntimeName;
  instance: string;
  /** Where the machines' disks are. */
  dataDir: string;
  /** Directories of images' files, owned by `ids`: those of the server's own, and the one that holds the imported ones. */
  images: { base: string; builder: string; imported: string };
  /** Directory that holds the machines' first process, as a layer over each image. */
  initLayer: string;
  ids: IdRange;
  onStep?: ((id: string, step: Step) => void | Promise<void>) | undefined;
};

/** What the parts of the driver know of the host that they work on. */
export type Host = {
  runtime: Runtime;
  instance: string;
  images: OciOptions['images'];
  initLayer: string;
  initProgram: string;
  spawner: Spawner;
  ids: IdRange;
  layout: Layout;
  cgroups: Cgroups;
  firewall: Firewall;
  maxOpenFiles: number;
  step: NonNullable<OciOptions['onStep']>;
};

const IMPORTED = /^img_[0-9a-f]{32}$/;

/** Directory of an image's files. Undefined where there is no such image. */
export async function imageDirOf({ images }: Pick<Host, 'images'>, image: string): Promise<string | undefined> {
  if (image === BASE || image === BUILDER) return images[image];
  if (!isBase(image) && !IMPORTED.test(image)) return undefined;
  const dir = join(isBase(image) ? join(images.base, '../..') : images.imported, image, 'rootfs');
  return (await exists(dir)) ? dir : undefined;
}

/** Base images of all days stand beside each other, each in the folder that is its key. */
export const baseKeyOf = ({ base }: Host['images']): string => basename(join(base, '..'));

const MIB = 1_048_576;
const GIB = 1_024 * MIB;
const DEFAULT_OPEN_FILES = 1_024;

/** Open files that this process may allow others. */
export async function maxOpenFiles(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8');
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  return hard === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(hard ?? DEFAULT_OPEN_FILES);
}

/** The host's memory, and the disk that machines have or may still take. */
export async function roomOf(layout: Layout): Promise<HostRoom> {
  const disks = await readdir(layout.disksDir);
  const used = await Promise.all(disks.map((disk) => diskUsage(join(layout.disksDir, disk))));
  const { bavail, blocks, bsize } = await statfs(layout.disksDir);
  const diskBytes = used.reduce<number>((sum, bytes) => sum + (bytes ?? 0), bavail * bsize);
  return {
    memoryMb: Math.floor(totalmem() / MIB),
    diskGb: diskBytes / GIB,
    freeDiskGb: (bavail * bsize) / GIB,
    diskSizeGb: (blocks * bsize) / GIB,
  };
}

/** More of anything than the memory that machines have is room for. */
const BEYOND_MEMORY = 2 ** 30;
/**
 * What the kernel counts for all machines together, or for users of the same number in all of them, and by default allows
 * so few of that one machine can take all. What they fill is counted as the memory of the machine that has them.
 */
const SHARED_LIMITS = {
  '/proc/sys/fs/inotify/max_user_instances': 65_536,
  '/proc/sys/fs/inotify/max_user_watches': 4_194_304,
  '/proc/sys/fs/epoll/max_user_watches': BEYOND_MEMORY,
  '/proc/sys/fs/aio-max-nr': BEYOND_MEMORY,
  '/proc/sys/fs/file-max': BEYOND_MEMORY,
  '/proc/sys/fs/pipe-user-pages-soft': BEYOND_MEMORY,
  '/proc/sys/kernel/pid_max': 4_194_304,
  '/proc/sys/kernel/pty/max': 262_144,
};

/**
 * Raises what many machines share; each machine has a limit of its own below it. A kernel that was built without one has
 * nothing to run out of.
 */
export async function raiseSharedLimits(): Promise<void> {
  for (const [file, least] of Object.entries(SHARED_LIMITS)) {
    const now = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return undefined;
    });
    if (now !== undefined && Number(now) < least) await writeFile(file, String(least));
  }
}

/** Tells this host from others, also where two of them run the same installation. */
export async function hostId(): Promise<string> {
  const machineId = await readFile('/etc/machine-id', 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return '';
  });
  return machineId.trim() || hostname();
}
