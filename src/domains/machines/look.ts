import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { elapsedMs } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import type { Usage } from './drivers/driver.ts';
import { checkedUser, NO_SUCH_USER } from './command.ts';
import type { Home } from './init/index.ts';
import { checkLease, type Machine } from './machine.ts';
import { mayUse, visibleTo } from './policy.ts';
import { ask, type Wording } from './reach.ts';
import { aliveMachines, extendLease, findMachine, findMachines, setLease } from './store.ts';
import { usageOf } from './used.ts';
import type { MachinesWorld } from './world.ts';

export const get = async (world: MachinesWorld, op: Op, id: MachineId): Promise<Machine> =>
  visibleTo(op, await findMachine(world.db, id));

/** Those of some machines that are the caller's, by their ids. */
export async function getAll(
  world: MachinesWorld,
  op: Op,
  ids: readonly MachineId[],
): Promise<ReadonlyMap<MachineId, Machine>> {
  const machines = await findMachines(world.db, ids);
  return new Map(machines.filter((machine) => mayUse(op, machine)).map((machine) => [machine.id, machine]));
}

/** What a machine uses now. Undefined where it is not running. */
export async function usage(world: MachinesWorld, op: Op, id: MachineId): Promise<Usage | undefined> {
  const machine = visibleTo(op, await findMachine(world.db, id));
  return usageOf(machine, await world.driver.usage(id));
}

export type ListedMachine = Machine & { usage: Usage | undefined };

/** The caller's machines that are not destroyed, oldest first, and what they use; the operator sees all. */
export async function list(world: MachinesWorld, op: Op): Promise<ListedMachine[]> {
  const machines = (await aliveMachines(world.db, world.driver.place)).filter((machine) => mayUse(op, machine));
  return Promise.all(
    machines.map(async (machine) => ({ ...machine, usage: usageOf(machine, await world.driver.usage(machine.id)) })),
  );
}

/** Lets a machine live until then. A lease is never made shorter; the lease of a machine that has ended stays as it is. */
export const extend = (world: MachinesWorld, op: Op, id: MachineId, until: Date): Promise<Machine> =>
  lease(world, op, id, until, extendLease);

/** Lets a machine live until then and no longer, whatever was said before. */
export const setUntil = (world: MachinesWorld, op: Op, id: MachineId, until: Date): Promise<Machine> =>
  lease(world, op, id, until, setLease);

/** As `extend`, in the transaction of what lives as long as the machine does. */
export const extendWithin = (_: MachinesWorld, tx: Tx, op: Op, id: MachineId, until: Date): Promise<Machine> =>
  leaseWithin(tx, op, id, until, extendLease);

const lease = (world: MachinesWorld, op: Op, id: MachineId, until: Date, write: typeof setLease): Promise<Machine> =>
  world.db.transact((tx) => leaseWithin(tx, op, id, until, write));

async function leaseWithin(tx: Tx, op: Op, id: MachineId, until: Date, write: typeof setLease): Promise<Machine> {
  visibleTo(op, await findMachine(tx, id));
  const leftMs = elapsedMs(op.now, until);
  checkLease(leftMs);
  const machine = await write(tx, id, until, leftMs);
  if (!machine) throw new AppError('conflict', 'This machine has ended.');
  return machine;
}

/** What the machine says of one of its users. Throws `not_found` where there is none of that name. */
export async function home(world: MachinesWorld, op: Op, id: MachineId, user: string): Promise<Home> {
  checkedUser(user);
  return await ask(world, op, id, noSuchUser, ({ init }) => init.home(user));
}

const noSuchUser: Wording = (cause) => new AppError('not_found', NO_SUCH_USER, { cause });
