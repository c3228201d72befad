import { rm } from 'node:fs/promises';
import type { Host } from './host.ts';
import { placesOf, removeDir } from './layout.ts';
import { endProcesses } from './rest.ts';

/**
 * Ends a machine and removes all of it, in an order in which whatever is left can still be found: its directory goes
 * last. Its mounts, its network and its loop device need no removal, they end with its last process. The runtime is
 * not asked: it may know nothing of a machine that it half made, and all that it keeps of one is a directory.
 */
export async function destroy(host: Host, id: string): Promise<void> {
  const places = placesOf(host.layout, id);
  await endProcesses(host, id);
  await rm(places.disk, { force: true });
  await host.step(id, 'undisked');
  await removeDir(places.dir);
  await host.step(id, 'removed');
}
