import { isAppError } from '../../kernel/errors.ts';
import type { ServerId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { whileClaimed } from './claim.ts';
import { remove } from './end.ts';
import { releaseDisk } from './backups/disk.ts';
import { move } from './move.ts';
import { provision } from './provision.ts';
import type { Server } from './server.ts';
import { unsettledServers } from './store.ts';
import type { ComputeWorld } from './world.ts';

/** What came of one piece of work: what is left is gone on with at once, or by the sweep. */
export type Progress = 'done' | 'later';

/**
 * Brings a server's machine to where its row says that it is, and goes on while that changes meanwhile. By anybody,
 * any number of times: one at a time works on a server, and whoever comes beside him has nothing to do.
 */
export async function settle(world: ComputeWorld, op: Op, id: ServerId): Promise<void> {
  while (!op.signal.aborted) {
    const progress = await whileClaimed(world.db, unsettledServers, id, (server) => attempt(world, op, server));
    if (progress !== 'done') return;
  }
}

async function attempt(world: ComputeWorld, op: Op, server: Server): Promise<Progress> {
  try {
    return await work(world, op, server);
  } catch (error) {
    const level = isAppError(error) ? 'info' : 'warn';
    world.log[level]({ serverId: server.id, state: server.state, err: error }, 'a server could not be settled yet');
    return 'later';
  }
}

async function work(world: ComputeWorld, op: Op, server: Server): Promise<Progress> {
  if (server.restoredFrom !== undefined && server.state !== 'provisioning') await releaseDisk(world, op, server);
  switch (server.state) {
    case 'provisioning':
      return provision(world, op, server);
    case 'destroying':
    case 'error':
      await remove(world, op, server);
      return 'done';
    case 'active':
    case 'suspended':
      await move(world, op, server);
      return 'done';
    case 'destroyed':
      return 'done';
  }
}
