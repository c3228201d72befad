import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { AppError } from '../../../kernel/errors.ts';
import { MINUTE } from '../../../kernel/time.ts';
import { CommandFailed, must, run, type Command } from '../../../platform/run.ts';
import type { IdRange } from '../drivers/oci/bundle.ts';
import { SEALED } from './debian.ts';
import { FINISH_PROGRAM } from './finish.ts';
import { MAX_ARCHIVE_BYTES, MAX_IMAGE_BYTES, MAX_IMAGE_FILES } from './image.ts';

/** A finished tree of files: what it fills on disk, and how many files it has. */
export type Tree = { bytes: number; files: number };

const UNPACK_TIMEOUT_MS = 20 * MINUTE;
const MAX_REMARKS_BYTES = 16_384;
/** Of the program that unpacks, and of tar: an archive says how long its names are, and they are read into memory. */
const UNPACK_MEMORY_KIB = 1_024 * 1_024;

/** How the program in the jail says what is wrong with a tree; everything else is a defect. */
const REFUSALS: Record<number, [code: 'too_large' | 'invalid', text: string]> = {
  70: ['too_large', `The image has more than ${MAX_IMAGE_FILES} files.`],
  71: ['too_large', `The image fills more than ${MAX_IMAGE_BYTES / 2 ** 30} GiB.`],
  72: ['invalid', 'The image has no shell: /bin/sh is missing.'],
  73: [
    'invalid',
    'The files of the image could not be unpacked: owners must be numbers up to 65535, and no path too long.',
  ],
  74: ['invalid', 'The image has a file where a directory must be, such as /etc.'],
};

/** Rights that owners, modes and file capabilities take; devices are not among what they can make. */
const CAPABILITIES = ['chown', 'dac_override', 'fowner', 'fsetid', 'setfcap', 'sys_chroot'];

/**
 * $1 base image, $2 the tree, $3 `ro` or `rw`, $4 first host id, $5 count; then a command. Its root directory is the
 * base image, read-only, with the tree at /mnt; there is nothing else to be reached from there, no network, and it is
 * root of a user namespace with the machines' range. Input and output are opened before.
 */
const JAIL_SCRIPT = `
unshare --user sleep infinity &
holder=$!
while [ "$(readlink /proc/$holder/ns/user)" = "$(readlink /proc/self/ns/user)" ]; do sleep 0.01; done
echo "0 $4 $5" > /proc/$holder/uid_map
echo "0 $4 $5" > /proc/$holder/gid_map
mount --bind "$1" "$1"
mount --bind "$2" "$1/mnt"
mount -t proc -o nosuid,nodev,noexec proc "$1/proc"
mount -o remount,bind,ro,nosuid,nodev "$1"
mount -o "remount,bind,$3,nodev" "$1/mnt"
cd "$1"
shift 5
pivot_root . .
umount -l .
cd /
exec nsenter --user --target $holder --setuid 0 --setgid 0 \\
  setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,${CAPABILITIES.map((name) => `+${name}`).join(',')} "$@"
`;

type JailOptions = { baseDir: string; ids: IdRange; tree: string; mode: 'ro' | 'rw' };

/** A command in the jail. `redirect` is a piece of shell that gives it its input or output. */
const jailCommand = (
  { baseDir, ids, tree, mode }: JailOptions,
  redirect: string,
  file: string,
  command: Command,
): Command => [
  ...SEALED.slice(0, -1),
  '--net',
  '--ipc',
  '--uts',
  '--',
  '/bin/sh',
  '-e',
  '-c',
  `file=$1; shift; exec ${redirect}\n${JAIL_SCRIPT}`,
  'jail',
  file,
  baseDir,
  tree,
  mode,
  String(ids.first),
  String(ids.count),
  ...command,
];

const Counted = z.object({ bytes: z.int().nonnegative(), files: z.int().nonnegative() });

type UnpackOptions = {
  archive: string;
  to: string;
  baseDir: string;
  ids: IdRange;
  limits?: { files: number; bytes: number };
};

const LIMITS = { files: MAX_IMAGE_FILES, bytes: MAX_IMAGE_BYTES };

/**
 * Makes a finished tree of an archive that a machine packed. Neither it nor its files are trusted: see decision 0005.
 * Throws `too_large` or `invalid` with a sentence where no machine can be made of it.
 */
export async function unpackTree({ archive, to, baseDir, ids, limits = LIMITS }: UnpackOptions): Promise<Tree> {
  await must(['chown', `${ids.first}:${ids.first}`, to]);
  await must(['chmod', '755', to]);
  const program = ['python3', '-I', '-S', '-c', FINISH_PROGRAM, String(limits.files), String(limits.bytes)];
  const bounded = `< "$file"; ulimit -v ${UNPACK_MEMORY_KIB}`;
  const command = jailCommand({ baseDir, ids, tree: to, mode: 'rw' }, bounded, archive, program);
  const result = await run(command, {
    timeoutMs: UNPACK_TIMEOUT_MS,
    dieWithParent: true,
    maxOutputBytes: MAX_REMARKS_BYTES,
  });
  if (result.kind === 'exited' && result.exitCode === 0) {
    await must(['sync', '-f', to]);
    return Counted.parse(JSON.parse(result.stdout.toString()));
  }
  const cause = new CommandFailed(command.slice(0, SEALED.length), result);
  const refusal = result.kind === 'exited' ? REFUSALS[result.exitCode] : undefined;
  throw refusal ? new AppError(refusal[0], refusal[1], { cause }) : cause;
}

type PackOptions = { from: string; archive: string; baseDir: string; ids: IdRange; maxBytes?: number };

/** In which a shell counts how long a file may become. */
const BLOCK_BYTES = 512;

/** What `tar` keeps of a tree, in both directions. */
export const TAR_OPTIONS = [
  '--numeric-owner',
  '--xattrs',
  '--xattrs-include=security.capability',
  '--xattrs-include=user.*',
];

/**
 * Packs a tree that tenants may have made. A file of it that is mostly a hole fills nothing there and all of its length
 * in the archive, so that is what is bounded. Throws `too_large`.
 */
export async function packTree({
  from,
  archive,
  baseDir,
  ids,
  maxBytes = MAX_ARCHIVE_BYTES,
}: PackOptions): Promise<void> {
  const pack = ['tar', '--create', ...TAR_OPTIONS, '--one-file-system', '--directory', '/mnt', '--file', '-', '.'];
  const bounded = `> "$file"; ulimit -f ${Math.floor(maxBytes / BLOCK_BYTES)}`;
  const command = jailCommand({ baseDir, ids, tree: from, mode: 'ro' }, bounded, archive, pack);
  const result = await run(command, { timeoutMs: UNPACK_TIMEOUT_MS, dieWithParent: true });
  if (result.kind === 'exited' && result.exitCode === 0) return;
  const cause = new CommandFailed(command.slice(0, SEALED.length), result);
  const isFull = (await stat(archive)).size > maxBytes - BLOCK_BYTES;
  throw isFull ? new AppError('too_large', 'The files of the image are too long to build on it.', { cause }) : cause;
}
