import { readdir, rmdir, statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Found, MachineDriver, NetworkRules, Usage } from '../driver.ts';
import { AppError } from '../../../../kernel/errors.ts';
import { detectCgroups, groupsIn, isFrozen, removeCgroup, usageOf } from './cgroup.ts';
import { connectTo } from './connect.ts';
import { boot, create, makeDirs } from './create.ts';
import { destroy } from './destroy.ts';
import { diskUsage, layersOf } from './disk.ts';
import { firewallOf, linkRulesOf } from './firewall.ts';
import { openGate } from './gate.ts';
import { baseKeyOf, hostId, maxOpenFiles, raiseSharedLimits, roomOf, type Host, type OciOptions } from './host.ts';
import { DISK_SUFFIX, isMachineName, layoutOf, placesOf, type Places } from './layout.ts';
import { trafficOf } from './network.ts';
import { showMemory } from './seen.ts';
import { bootId, isAlive, readRecord } from './record.ts';
import { pause, resume, stop } from './rest.ts';
import { removeSnapshot, snapshot, snapshots } from './snapshot.ts';
import { openSpawner } from '../../../../platform/spawner.ts';
import { exportSnapshot, importSnapshot } from './transfer.ts';

export type { OciOptions, Step } from './host.ts';

/** Where the first process is in its layer, and in every machine. */
const INIT_PROGRAM = '.freehold/init';

/** Machines as containers of an OCI runtime on this host. */
export async function openOciDriver(options: OciOptions): Promise<MachineDriver> {
  const layout = layoutOf(options);
  const cgroups = await detectCgroups();
  const initProgram = join(options.initLayer, INIT_PROGRAM);
  const host: Host = {
    ...options,
    layout,
    cgroups,
    initProgram,
    spawner: openSpawner(initProgram),
    runtime: { name: options.runtime, root: layout.runtimeRoot, unifiedMount: cgroups.unifiedMount },
    firewall: firewallOf(layout),
    maxOpenFiles: await maxOpenFiles(),
    step: options.onStep ?? (() => {}),
  };
  await Promise.all([makeDirs(layout), raiseSharedLimits()]);
  return {
    name: `oci-${options.runtime}`,
    place: `${options.instance}@${await hostId()}`,
    hostStart: await bootId(),
    tier: 'container',
    runtime: options.runtime,
    baseImage: baseKeyOf(options.images),
    room: () => roomOf(layout),
    filledBytes: async (id) => (await diskUsage(placesOf(layout, id).disk)) ?? 0,
    create: (spec, signal) => create(host, spec, signal),
    connect: (id) => connectTo(placesOf(layout, id).socket),
    pause: (id) => pause(host, id),
    resume: (id) => resume(host, id),
    stop: (id, graceMs) => stop(host, id, graceMs),
    boot: (spec, signal) => boot(host, spec, signal),
    setRules: (id, rules) => setRules(host, id, rules),
    openGate: (take) => openGate(layout.instance, take),
    snapshot: (id, copy, signal) => snapshot(host, id, copy, signal),
    exportSnapshot: (copy, signal) => exportSnapshot(host, copy, signal),
    importSnapshot: (copy, incoming, signal) => importSnapshot(host, copy, incoming, signal),
    removeSnapshot: (copy) => removeSnapshot(host, copy),
    snapshots: () => snapshots(host),
    usage: (id) => usage(host, placesOf(layout, id)),
    isCurrent: (id) => isCurrent(host, placesOf(layout, id)),
    destroy: (id) => destroy(host, id),
    list: () => list(host),
    guard: () => guard(host),
    close: () => close(host),
  };
}

async function usage(host: Host, places: Places): Promise<Usage | undefined> {
  const record = await readRecord(places.record);
  if (!record || !(await isAlive(record))) return undefined;
  const [group, diskBytes, disk] = await Promise.all([
    usageOf(host.cgroups, places.cgroup),
    diskUsage(places.disk),
    statfs(`/proc/${record.pid}/root`).catch(gone),
  ]);
  if (!group || diskBytes === undefined || !disk) return undefined;
  await showMemory(places.dir, group.memoryLimitBytes, group);
  const traffic = record.link === undefined ? { received: 0, sent: 0 } : await trafficOf(record.link);
  const { memoryLimitBytes: _, ...used } = group;
  return {
    ...used,
    diskBytes,
    diskUsedBytes: (disk.blocks - disk.bfree) * disk.bsize,
    diskTotalBytes: disk.blocks * disk.bsize,
    networkReceivedBytes: traffic.received,
    networkSentBytes: traffic.sent,
  };
}

async function isCurrent({ images, initLayer }: Host, places: Places): Promise<boolean> {
  const layers = await layersOf(places);
  return layers?.lower === images.base && layers.init === initLayer;
}

/** A process, and with it the way to its disk, can go at any moment. */
function gone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error;
  return undefined;
}

async function setRules(host: Host, id: string, rules: NetworkRules): Promise<void> {
  const record = await readRecord(placesOf(host.layout, id).record);
  if (record?.link === undefined) throw new AppError('conflict', 'This machine has no network to rule over.');
  const before = await host.firewall.rulesOf(id);
  await host.firewall.setRules(id, { ...(await linkRulesOf(rules)), link: record.link, address: before?.address });
}

async function list(host: Host): Promise<Found[]> {
  const { layout } = host;
  const found = await Promise.all([
    namesIn(layout.machinesDir),
    namesIn(layout.runtimeRoot),
    namesIn(layout.disksDir).then((names) => names.map((name) => basename(name, DISK_SUFFIX))),
    groupsIn(host.cgroups, layout.cgroup),
  ]);
  const names = [...new Set(found.flat())].filter(isMachineName);
  return Promise.all(names.map(async (id) => ({ id, state: await stateOf(host, placesOf(layout, id)) })));
}

const namesIn = (directory: string): Promise<string[]> =>
  readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return [];
  });

async function stateOf(host: Host, places: Places): Promise<Found['state']> {
  const record = await readRecord(places.record);
  if (!record || !(await isAlive(record))) return 'remains';
  return (await isFrozen(host.cgroups, places.cgroup)) ? 'paused' : 'running';
}

async function guard(host: Host): Promise<void> {
  if ((await namesIn(host.layout.machinesDir)).length > 0) await host.firewall.apply();
}

async function close(host: Host): Promise<void> {
  host.spawner.close();
  if ((await list(host)).length > 0) return;
  await host.firewall.remove();
  // Another process of this installation may have begun a machine in this moment, and must not be left unguarded.
  await guard(host);
  if ((await list(host)).length > 0) return;
  await removeCgroup(host.cgroups, host.layout.cgroup);
  for (const dir of [host.layout.runtimeRoot, host.layout.machinesDir, host.layout.runDir])
    await rmdir(dir).catch(inUse);
}

function inUse(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') throw error;
}
