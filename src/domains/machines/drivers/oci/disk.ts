import { randomBytes } from 'node:crypto';
import { mkdir, open, readlink, rename, rm, stat, symlink, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { flush } from '../../../../platform/flush.ts';
import { CommandFailed, must, run, type Command, type RunResult } from '../../../../platform/run.ts';
import type { Spawner } from '../../../../platform/spawner.ts';
import { exists } from '../../images/debian.ts';
import { DISK_SUFFIX, type Places } from './layout.ts';

const GIB = 2 ** 30;
const BLOCK = 512;
const OWNER_ONLY = 0o600;
const DRAFT_BYTES = 6;
const COPY_TIMEOUT_MS = 10 * 60_000;
/** e2fsck's exit codes 0 and 1: nothing was wrong, or what was wrong is right now. */
const IS_SOUND = 1;
/** The bit of it that says that something was wrong which it did not dare to put right. */
const IS_LEFT_UNSOUND = 4;
const LET_GO_WAIT_MS = 10_000;
const LET_GO_STEP_MS = 5;

/**
 * A file system without a journal: a machine's disk is checked before it is used again. Its inode tables are written
 * when they are first used.
 */
export const formatCommand = (disk: string): Command => [
  'mkfs.ext4',
  '-q',
  '-F',
  '-O',
  '^has_journal',
  '-m',
  '0',
  '-E',
  'lazy_itable_init=1,nodiscard',
  disk,
];

/**
 * Makes a machine's disk: a sparse file that cannot grow past its size, whatever happens inside. It is a copy of an
 * empty one, since to format each would take four times as long.
 */
export async function makeDisk(
  spawner: Spawner,
  disk: string,
  sizeGb: number,
  emptyDir: string,
  signal: AbortSignal,
): Promise<void> {
  const size = bytesOf(sizeGb);
  const empty = join(emptyDir, `${size}${DISK_SUFFIX}`);
  if (!(await exists(empty))) await makeEmptyDisk(empty, size, signal);
  await spawner.must(copyCommand(empty, disk), { signal });
}

async function makeEmptyDisk(empty: string, size: number, signal: AbortSignal): Promise<void> {
  const draft = `${empty}.${randomBytes(DRAFT_BYTES).toString('hex')}`;
  try {
    const file = await open(draft, 'wx', OWNER_ONLY);
    try {
      await file.truncate(size);
    } finally {
      await file.close();
    }
    await must(formatCommand(draft), { dieWithParent: true, signal });
    await rename(draft, empty);
  } finally {
    await rm(draft, { force: true });
  }
}

/** Makes a machine's disk from a sound copy of another, as large as is asked for. Throws where the copy is larger. */
export async function copyDisk(from: string, disk: string, sizeGb: number, signal: AbortSignal): Promise<void> {
  const wanted = bytesOf(sizeGb);
  const { size } = await stat(from);
  if (size > wanted) throw new Error(`A disk of ${sizeGb} GB cannot hold a copy of one of ${size} bytes.`);
  await must(copyCommand(from, disk), { dieWithParent: true, signal, timeoutMs: COPY_TIMEOUT_MS });
  if (size === wanted) return;
  await truncate(disk, wanted);
  await must(['resize2fs', disk], { dieWithParent: true, signal, timeoutMs: COPY_TIMEOUT_MS });
}

/** How large a disk is, filled or not. */
export const bytesOf = (sizeGb: number): number => Math.round(sizeGb * GIB);

/** Only what is filled is copied, and where the host's file system can share it, nothing is. */
export const copyCommand = (from: string, to: string): Command => [
  'cp',
  '--reflink=auto',
  '--sparse=auto',
  '--no-target-directory',
  from,
  to,
];

/** Makes a disk sound that was copied, or left, while it was mounted. Throws where something would be lost by it. */
export async function checkDisk(disk: string, signal: AbortSignal): Promise<void> {
  const command = ['e2fsck', '-f', '-p', disk];
  const result = await fsck(command, signal);
  if (!isSound(result)) throw new CommandFailed(command, result);
}

/**
 * Makes a disk sound on which its host may have gone down. There is no other copy of it and nobody else to decide: what
 * has lost its name goes to `lost+found`, and the machine begins with what there is. Throws where that cannot be done.
 */
export async function repairDisk(disk: string, signal: AbortSignal): Promise<void> {
  const gentle = await fsck(['e2fsck', '-f', '-p', disk], signal);
  if (isSound(gentle)) return;
  const command = ['e2fsck', '-f', '-y', disk];
  const wantsMore = gentle.kind === 'exited' && (gentle.exitCode & IS_LEFT_UNSOUND) !== 0;
  const result = wantsMore ? await fsck(command, signal) : gentle;
  if (!isSound(result)) throw new CommandFailed(command, result);
}

const fsck = (command: Command, signal: AbortSignal): Promise<RunResult> =>
  run(command, { dieWithParent: true, signal, timeoutMs: COPY_TIMEOUT_MS });

const isSound = (result: RunResult): boolean => result.kind === 'exited' && result.exitCode <= IS_SOUND;

/** What is to become a kept copy, before it is one. */
export const draftOf = (kept: string): string => `${kept}.draft`;

/** Gives a sound copy its name, under which it outlives a power cut. */
export async function keep(draft: string, kept: string): Promise<void> {
  await flush(draft);
  await rename(draft, kept);
  await flush(dirname(kept));
}

/** Copies a disk that nobody writes to now; whole and sound under its name, or not there. */
export async function keepCopy(
  disk: string,
  kept: string,
  during: (copy: (until: AbortSignal) => Promise<void>) => Promise<void>,
  signal: AbortSignal,
): Promise<number> {
  const draft = draftOf(kept);
  try {
    await during(
      async (until) =>
        void (await must(copyCommand(disk, draft), { dieWithParent: true, signal: until, timeoutMs: COPY_TIMEOUT_MS })),
    );
    await checkDisk(draft, signal);
    await keep(draft, kept);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  return (await diskUsage(kept)) ?? 0;
}

/** The kernel lets go of a disk some time after the last process that had it mounted. */
export async function untilUnused(disk: string): Promise<void> {
  for (let waited = 0; waited < LET_GO_WAIT_MS; waited += LET_GO_STEP_MS) {
    if ((await must(['losetup', '--noheadings', '--associated', disk])).trim() === '') return;
    await sleep(LET_GO_STEP_MS);
  }
  throw new Error(`The disk ${disk} stays in use.`);
}

/** The empty directories that the machine's mounts go on, and the names under which they find their layers. */
export async function makeMountPoints(places: Places, layers: { lower: string; init: string }): Promise<void> {
  const directories = [places.rootfs, join(places.dir, 'disk'), join(places.dir, 'dev')];
  const links = Object.entries(layers).map(([name, target]) => symlink(target, join(places.dir, name)));
  await Promise.all([...directories.map((directory) => mkdir(directory)), ...links]);
}

/** The layers that a machine was started from. Undefined where it is not there any more. */
export const layersOf = ({ dir }: Places): Promise<{ lower: string; init: string } | undefined> =>
  Promise.all(['lower', 'init'].map((name) => readlink(join(dir, name)))).then(
    ([lower = '', init = '']) => ({ lower, init }),
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return undefined;
    },
  );

/** Bytes of the host's disk that a file fills. Undefined where it is not there any more. */
export const diskUsage = (file: string): Promise<number | undefined> =>
  stat(file).then(
    ({ blocks }) => blocks * BLOCK,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return undefined;
    },
  );
