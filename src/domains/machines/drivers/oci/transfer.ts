import { chmod, lstat, mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { mustTake, outputOf, type Command } from '../../../../platform/run.ts';
import { checkDisk, diskUsage, draftOf } from './disk.ts';
import type { Host } from './host.ts';
import { snapshotFile } from './layout.ts';

/** What a disk is called in an archive of it. */
const MEMBER = 'disk';
const OWNER_ONLY = 0o700;
const FILE_OWNER_ONLY = 0o600;

/** A disk as an archive that holds only what is filled of it, and the same bytes each time. */
export const packCommand = (file: string): Command => [
  'tar',
  '--create',
  '--file=-',
  '--sparse',
  '--format=gnu',
  '--record-size=1M',
  '--owner=0',
  '--group=0',
  '--mode=600',
  '--mtime=@0',
  `--transform=s/.*/${MEMBER}/`,
  `--directory=${dirname(file)}`,
  basename(file),
];

/** tar may stop reading where the archive ends; whether all of it is right is known when all of it has been read. */
const UNPACK_SCRIPT = `
tar --extract --file=- --no-same-owner --no-same-permissions --directory="$1" "$2"
cat > /dev/null
`;

/** Only the disk is taken out of the archive, whatever else may be in it. */
export const unpackCommand = (folder: string): Command => [
  '/bin/sh',
  '-e',
  '-c',
  UNPACK_SCRIPT,
  'unpack',
  folder,
  MEMBER,
];

export const exportSnapshot = (host: Host, name: string, signal: AbortSignal): Readable =>
  Readable.from(outputOf(packCommand(snapshotFile(host.layout, name)), { signal }), { objectMode: false });

/** A disk is one when all of it has come and it is sound. */
export async function importSnapshot(
  host: Host,
  name: string,
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<{ bytes: number }> {
  const file = snapshotFile(host.layout, name);
  const draft = draftOf(file);
  try {
    await rm(draft, { recursive: true, force: true });
    await mkdir(draft, { mode: OWNER_ONLY });
    await mustTake(unpackCommand(draft), content, { signal });
    const disk = join(draft, MEMBER);
    const found = await lstat(disk);
    if (!found.isFile() || found.nlink !== 1) throw new Error(`The archive of ${name} holds no disk.`);
    await chmod(disk, FILE_OWNER_ONLY);
    await checkDisk(disk, signal);
    await rename(disk, file);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return { bytes: (await diskUsage(file)) ?? 0 };
}
