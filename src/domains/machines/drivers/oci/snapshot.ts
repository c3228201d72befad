import { readdir, rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { AppError } from '../../../../kernel/errors.ts';
import { SECOND } from '../../../../kernel/time.ts';
import { must } from '../../../../platform/run.ts';
import type { CopyName } from '../driver.ts';
import { isFrozen, setFrozen } from './cgroup.ts';
import { draftOf, keepCopy } from './disk.ts';
import type { Host } from './host.ts';
import { DISK_SUFFIX, placesOf, snapshotFile } from './layout.ts';
import { isAlive, readRecord } from './record.ts';

/** How long a machine may stand still for a copy of its disk, where the host's file system cannot share one. */
const MAX_STILL_MS = 30 * SECOND;

/**
 * Copies a machine's disk as it is at one moment: no process of it runs while what it has written goes to the disk and
 * the disk is copied. Most of what it has written goes there before, while it runs. One that was paused stays so.
 */
export async function snapshot(
  host: Host,
  id: string,
  copyName: CopyName,
  signal: AbortSignal,
): Promise<{ bytes: number }> {
  const places = placesOf(host.layout, id);
  const record = await readRecord(places.record);
  const pid = record && (await isAlive(record)) ? record.pid : undefined;
  const whileStill = async (copy: (until: AbortSignal) => Promise<void>) => {
    if (pid === undefined) return copy(signal);
    const flush = flushCommand(pid);
    const wasFrozen = await isFrozen(host.cgroups, places.cgroup);
    if (wasFrozen) {
      await must(flush, { signal });
      return copy(signal);
    }
    await must(flush, { signal });
    const limit = AbortSignal.timeout(MAX_STILL_MS);
    const until = AbortSignal.any([signal, limit]);
    await setFrozen(host.cgroups, places.cgroup, true);
    try {
      await must(flush, { signal: until });
      await copy(until);
    } catch (error) {
      throw limit.aborted && !signal.aborted ? tooFull(error) : error;
    } finally {
      await setFrozen(host.cgroups, places.cgroup, false);
    }
  };
  return { bytes: await keepCopy(places.disk, snapshotFile(host.layout, copyName), whileStill, signal) };
}

const flushCommand = (pid: number) => ['sync', '--file-system', `/proc/${pid}/root`];

const tooFull = (cause: unknown): AppError =>
  new AppError(
    'conflict',
    'There is too much on its disk to be copied while it stands still for a moment: stop it first.',
    {
      cause,
    },
  );

export async function removeSnapshot(host: Host, copy: CopyName): Promise<void> {
  const file = snapshotFile(host.layout, copy);
  await Promise.all([file, draftOf(file)].map((each) => rm(each, { recursive: true, force: true })));
}

export async function snapshots(host: Host): Promise<CopyName[]> {
  const files = await readdir(host.layout.snapshotsDir);
  return [...new Set(files.map((file) => basename(basename(file, '.draft'), DISK_SUFFIX) as CopyName))];
}
