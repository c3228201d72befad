import { setTimeout as sleep } from 'node:timers/promises';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInit } from '../../init/index.ts';
import { isFrozen, removeCgroup, setFrozen } from './cgroup.ts';
import { connectTo } from './connect.ts';
import { untilUnused } from './disk.ts';
import type { Host } from './host.ts';
import { placesOf, removeDir } from './layout.ts';
import { isAlive, readRecord } from './record.ts';

/** How long a machine's processes may take over SIGTERM before they are killed. */
const SHUTDOWN_MS = 7_000;

/** Freezes every process of a machine where it stands. */
export const pause = (host: Host, id: string): Promise<void> =>
  setFrozen(host.cgroups, placesOf(host.layout, id).cgroup, true);

export const resume = (host: Host, id: string): Promise<void> =>
  setFrozen(host.cgroups, placesOf(host.layout, id).cgroup, false);

/** Ends a machine's processes, politely where it runs, and removes all of it but its disk. */
export async function stop(host: Host, id: string, graceMs = SHUTDOWN_MS): Promise<void> {
  const places = placesOf(host.layout, id);
  const record = await readRecord(places.record);
  if (record && (await isAlive(record)) && !(await isFrozen(host.cgroups, places.cgroup)))
    await shutDown(places.socket, graceMs);
  await endProcesses(host, id);
  await removeDir(places.dir);
  await untilUnused(places.disk);
}

/** Whatever the machine makes of it, it is killed afterwards. */
async function shutDown(socket: string, graceMs: number): Promise<void> {
  const asked = createInit(() => connectTo(socket))
    .shutdown()
    .catch(() => {});
  const over = new AbortController();
  await Promise.race([asked, sleep(graceMs, undefined, { signal: over.signal }).catch(() => {})]);
  over.abort();
}

/** From here on nobody takes it for a machine that runs; then its processes die, and the runtime's memory of it. */
export async function endProcesses(host: Host, id: string): Promise<void> {
  const places = placesOf(host.layout, id);
  await rm(places.record, { force: true });
  await host.step(id, 'unrecorded');
  await removeCgroup(host.cgroups, places.cgroup);
  await host.firewall.forgetRules(id);
  await host.step(id, 'killed');
  await rm(join(host.layout.runtimeRoot, id), { recursive: true, force: true });
  await host.step(id, 'forgotten');
}
