import { setTimeout as sleep } from 'node:timers/promises';
import { isAppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { MachineState } from './machine.ts';
import { holdBack as freeze, letGoOn } from './rest.ts';
import { diskState } from './room.ts';
import { heldBackMachines } from './store.ts';
import { seeMachines } from './undertaking-store.ts';
import type { MachinesWorld } from './world.ts';

/** How long it is watched which disks grow. */
const WATCHED_MS = 200;
const GROWING: readonly MachineState[] = ['running'];

/**
 * Keeps machines from taking the last of the host's disk, which the database and all other machines need. Their limits
 * together are more than there is, so where little is left, those that go on filling it are frozen: nothing of them is
 * lost, and they go on when there is room again. Answers how many it froze or let go on.
 */
export async function holdBack(world: MachinesWorld, op: Op): Promise<number> {
  const state = diskState(await world.driver.room());
  if (state === 'low') return await freezeGrowing(world, op);
  return state === 'ample' ? await letAllGoOn(world, op) : 0;
}

async function freezeGrowing(world: MachinesWorld, op: Op): Promise<number> {
  const seen = await seeMachines(world.db, world.driver.place);
  const ids = seen.filter(({ machine }) => GROWING.includes(machine.state)).map(({ machine }) => machine.id);
  const before = await filledBy(world, ids);
  await sleep(WATCHED_MS);
  const after = await filledBy(world, ids);
  const growing = ids.filter((id) => (after.get(id) ?? 0) > (before.get(id) ?? 0));
  const frozen = await Promise.all(growing.map((id) => tried(world, id, () => freeze(world, op, id))));
  if (growing.length > 0)
    world.log.error({ machines: growing }, 'the disk is nearly full: machines that fill it were held back');
  return frozen.filter(Boolean).length;
}

async function filledBy({ driver }: MachinesWorld, ids: readonly MachineId[]): Promise<Map<MachineId, number>> {
  return new Map(await Promise.all(ids.map(async (id) => [id, await driver.filledBytes(id)] as const)));
}

async function letAllGoOn(world: MachinesWorld, op: Op): Promise<number> {
  let gone = 0;
  // One after the other: the next look tells whether the disk bears the next one.
  for (const id of await heldBackMachines(world.db, world.driver.place))
    if (await tried(world, id, () => letGoOn(world, op, id))) gone++;
  return gone;
}

/** One that has ended, or for which there is no room yet, stops no other. */
async function tried(world: MachinesWorld, id: MachineId, work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!isAppError(error, 'at_capacity') && !isAppError(error, 'conflict'))
      world.log.error({ machineId: id, err: error }, 'a machine could not be held back or let go on yet');
    return false;
  }
}
