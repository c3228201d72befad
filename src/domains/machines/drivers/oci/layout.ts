import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '../../../../kernel/errors.ts';

/** Where things of one installation are on the host. Every name bears the instance, so that a sweep finds its own. */
export type Layout = {
  instance: string;
  /** Gone or stale after a reboot: the runtime's state and the bundles. */
  runDir: string;
  runtimeRoot: string;
  machinesDir: string;
  disksDir: string;
  snapshotsDir: string;
  /** One formatted disk of each size, of which new ones are copies. */
  emptyDisksDir: string;
  /** Path inside each cgroup hierarchy. */
  cgroup: string;
};

export type LayoutOptions = { instance: string; dataDir: string };

const RUN_DIR = '/run/freehold-machines';
const INSTANCE = /^[a-z0-9]{1,16}$/;
const MACHINE = /^[a-z0-9][a-z0-9_]{0,63}$/;

export function layoutOf({ instance, dataDir }: LayoutOptions): Layout {
  assert(INSTANCE.test(instance), `an instance is named by up to 16 lower-case letters and digits, not "${instance}"`);
  const runDir = join(RUN_DIR, instance);
  return {
    instance,
    runDir,
    runtimeRoot: join(runDir, 'runtime'),
    machinesDir: join(runDir, 'machines'),
    disksDir: join(dataDir, 'machines'),
    snapshotsDir: join(dataDir, 'snapshots'),
    emptyDisksDir: join(dataDir, 'empty-disks'),
    cgroup: `/freehold-${instance}`,
  };
}

/** What belongs to one machine. */
export type Places = {
  dir: string;
  rootfs: string;
  config: string;
  pidFile: string;
  record: string;
  /** On which the machine's init listens. The machine itself cannot see it. */
  socket: string;
  /** What its link is called and which addresses it may reach. */
  rules: string;
  disk: string;
  cgroup: string;
};

export function placesOf(layout: Layout, id: string): Places {
  assert(isMachineName(id), `a machine's name must be safe in a path, not "${id}"`);
  const dir = join(layout.machinesDir, id);
  return {
    dir,
    rootfs: join(dir, 'rootfs'),
    config: join(dir, 'config.json'),
    pidFile: join(dir, 'pid'),
    record: join(dir, 'record.json'),
    socket: join(dir, 'socket'),
    rules: join(dir, 'rules.json'),
    disk: join(layout.disksDir, id + DISK_SUFFIX),
    cgroup: `${layout.cgroup}/${id}`,
  };
}

export function snapshotFile(layout: Layout, snapshot: string): string {
  assert(isMachineName(snapshot), `a snapshot's name must be safe in a path, not "${snapshot}"`);
  return join(layout.snapshotsDir, snapshot + DISK_SUFFIX);
}

const REMOVAL_ATTEMPTS = 20;
const REMOVAL_PAUSE_MS = 10;

/** Whoever is still making the machine may put something into its directory meanwhile. */
export const removeDir = (dir: string): Promise<void> =>
  rm(dir, { recursive: true, force: true, maxRetries: REMOVAL_ATTEMPTS, retryDelay: REMOVAL_PAUSE_MS });

export const DISK_SUFFIX = '.ext4';
export const isMachineName = (name: string): boolean => MACHINE.test(name);
