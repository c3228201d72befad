import { chmod, lstat, mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { mustTake, outputOf, type Command } from '../../../../platform/run.ts';
import { bytesOf, checkDisk, diskUsage, draftOf, keep } from './disk.ts';
import type { Host } from './host.ts';
import { snapshotFile } from './layout.ts';

/** What a disk is called in an archive of it. */
const MEMBER = 'disk';
const OWNER_ONLY = 0o700;
const FILE_OWNER_ONLY = 0o600;
/** Fast enough to keep up with a disk; what is smaller still takes several times as long. */
const LEVEL = 3;
/** Two keep up with tar. Fewer or more would write other bytes, which every reader takes as well. */
const THREADS = 2;

/** A pipe fails where any part of it does. */
const piped = (script: string, ...args: string[]): Command => [
  'bash',
  '-e',
  '-o',
  'pipefail',
  '-c',
  script,
  'transfer',
  ...args,
];

/** tar and zstd hand the disk on between them: it does not pass through this process before it is small. */
const PACK_SCRIPT = `
tar --create --file=- --sparse --format=gnu --record-size=1M --owner=0 --group=0 --mode=600 --mtime=@0 \\
  --transform="s/.*/${MEMBER}/" --directory="$1" -- "$2" |
  zstd --quiet -${LEVEL} --threads=${THREADS} --stdout
`;

/** A disk as an archive that holds only what is filled of it, compressed, and the same bytes each time. */
export const packCommand = (file: string): Command => piped(PACK_SCRIPT, dirname(file), basename(file));

/**
 * $1 a folder, $2 the bytes that the disk may have: only the disk is taken out of the archive, whatever else may be in
 * it, and no more of it than that. tar may stop reading where the archive ends, and zstd where it is none; whether all of
 * it is right is known when all of it has been read.
 */
const UNPACK_SCRIPT = `
{ zstd --quiet --decompress --stdout || { cat > /dev/null; false; }; } |
  { prlimit --fsize="$2" tar --extract --file=- --no-same-owner --no-same-permissions --directory="$1" ${MEMBER}
    cat > /dev/null; }
`;

export const unpackCommand = (folder: string, bytes: number): Command => piped(UNPACK_SCRIPT, folder, String(bytes));

export const exportSnapshot = (host: Host, copy: string, signal: AbortSignal): Readable =>
  Readable.from(outputOf(packCommand(snapshotFile(host.layout, copy)), { signal }), { objectMode: false });

/** A disk is one when all of it has come and it is sound. */
export async function importSnapshot(
  host: Host,
  copy: string,
  { content, diskGb }: { content: AsyncIterable<Uint8Array>; diskGb: number },
  signal: AbortSignal,
): Promise<{ bytes: number }> {
  const file = snapshotFile(host.layout, copy);
  const draft = draftOf(file);
  try {
    await mkdir(draft, { mode: OWNER_ONLY });
    await mustTake(unpackCommand(draft, bytesOf(diskGb)), content, { signal });
    const disk = join(draft, MEMBER);
    const found = await lstat(disk);
    if (!found.isFile() || found.nlink !== 1) throw new Error(`The archive of ${copy} holds no disk.`);
    await chmod(disk, FILE_OWNER_ONLY);
    await checkDisk(disk, signal);
    await keep(disk, file);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return { bytes: (await diskUsage(file)) ?? 0 };
}
