import { readdir, rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { must } from '../../../../platform/run.ts';
import { isFrozen, setFrozen } from './cgroup.ts';
import { keepCopy } from './disk.ts';
import type { Host } from './host.ts';
import { DISK_SUFFIX, placesOf, snapshotFile } from './layout.ts';
import { isAlive, readRecord } from './record.ts';

/**
 * Copies a machine's disk as it is at one moment: no process of it runs while what it has written goes to the disk and
 * the disk is copied. One that was paused stays so.
 */
export async function snapshot(host: Host, id: string, name: string, signal: AbortSignal): Promise<{ bytes: number }> {
  const places = placesOf(host.layout, id);
  const record = await readRecord(places.record);
  const pid = record && (await isAlive(record)) ? record.pid : undefined;
  const whileStill = async (copy: () => Promise<void>) => {
    if (pid === undefined) return copy();
    const wasFrozen = await isFrozen(host.cgroups, places.cgroup);
    if (!wasFrozen) await setFrozen(host.cgroups, places.cgroup, true);
    try {
      await must(['sync', '--file-system', `/proc/${pid}/root`], { signal });
      await copy();
    } finally {
      if (!wasFrozen) await setFrozen(host.cgroups, places.cgroup, false);
    }
  };
  return { bytes: await keepCopy(places.disk, snapshotFile(host.layout, name), whileStill, signal) };
}

export async function removeSnapshot(host: Host, name: string): Promise<void> {
  const file = snapshotFile(host.layout, name);
  await Promise.all([file, `${file}.draft`].map((each) => rm(each, { force: true })));
}

export async function snapshots(host: Host): Promise<string[]> {
  const files = await readdir(host.layout.snapshotsDir);
  return [...new Set(files.map((file) => basename(basename(file, '.draft'), DISK_SUFFIX)))];
}
