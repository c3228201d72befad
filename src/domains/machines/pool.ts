import { isDeepStrictEqual } from 'node:util';
import { AppError, isAppError } from '../../kernel/errors.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { after } from '../../kernel/time.ts';
import { commitLazily, type Tx } from '../../platform/db.ts';
import { BASE_IMAGE } from './command.ts';
import { create, type Wanted } from './create.ts';
import { destroyAs } from './destroy.ts';
import type { Limits } from './drivers/driver.ts';
import * as facts from './facts.ts';
import { MachineLost } from './init/index.ts';
import { limitsOf, MAX_LEASE_MS, type EndReason, type Machine } from './machine.ts';
import { claimPooled, findClaimed, NOBODY, oldestPooled, pooledMachines, poolState } from './pool-store.ts';
import { isUnruled } from './rules.ts';
import type { MachinesWorld } from './world.ts';

/** What a machine of the pool is given. */
export const POOLED_LIMITS: Limits = limitsOf({ vcpus: 1, memoryMb: 512, diskGb: 1 });
export const FILL_POOL = { name: 'machines.fill-pool' };

/** Those that wait may have died without anybody noticing; so many are tried before one is made. */
const MAX_TRIES = 3;

export const isOfPool = ({ image, limits, network, rules, snapshot, standing }: Wanted): boolean =>
  image === BASE_IMAGE &&
  network === 'egress' &&
  snapshot === undefined &&
  standing === undefined &&
  isUnruled(rules) &&
  isDeepStrictEqual(limits, POOLED_LIMITS);

/** A machine that was made before it was asked for; undefined where there is none. */
export async function takeFromPool(world: MachinesWorld, op: Op, wanted: Wanted): Promise<Machine | undefined> {
  const before = op.seed && (await findClaimed(world.db, wanted.id));
  if (before && before.accountId === wanted.accountId) return stillRunning(before);
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const machine = await world.db.transact((tx) => claimOne(world, tx, op, wanted));
    if (!machine) return undefined;
    if (await answers(world, machine)) return machine;
    await destroyAs(world, op, machine.id, 'lost');
  }
  return undefined;
}

function stillRunning(machine: Machine): Machine {
  if (machine.state !== 'running') throw new AppError('conflict', 'This machine has ended.');
  return machine;
}

async function claimOne(world: MachinesWorld, tx: Tx, op: Op, wanted: Wanted): Promise<Machine | undefined> {
  const { place, name } = world.driver;
  const at = world.clock.now();
  await commitLazily(tx);
  const machine = await claimPooled(
    tx,
    { place, driver: name },
    {
      accountId: wanted.accountId,
      purpose: wanted.purpose,
      leaseUntil: after(at, wanted.leaseMs),
      at,
      claimedAs: wanted.id,
    },
  );
  if (machine) {
    await facts.taken(tx, op, machine);
    await world.jobs?.nudge(tx, FILL_POOL);
  }
  return machine;
}

async function answers(world: MachinesWorld, { id }: Machine): Promise<boolean> {
  try {
    (await world.driver.connect(id)).destroy();
    return true;
  } catch (error) {
    if (error instanceof MachineLost) return false;
    throw error;
  }
}

/**
 * Makes one machine for the pool where there are too few, or ends one where there are too many; answers how many it
 * made or ended. It holds back while machines are being made for those who wait for them.
 */
export async function refillPool(world: MachinesWorld, op: Op): Promise<number> {
  const size = world.poolSize ?? 0;
  const { pooled, isBusy } = await poolState(world.db, world.driver.place);
  if (pooled > size) return (await giveUpPooled(world, op)) ? 1 : 0;
  if (pooled === size || isBusy) return 0;
  try {
    await create(world, op, forPool(op));
    return 1;
  } catch (error) {
    if (!isAppError(error, 'at_capacity')) world.log.warn({ err: error }, 'no machine could be made for the pool');
    return 0;
  }
}

const forPool = (op: Op): Wanted => ({
  id: newId(op, 'machine'),
  accountId: NOBODY,
  purpose: 'pool',
  image: BASE_IMAGE,
  limits: POOLED_LIMITS,
  network: 'egress',
  rules: { allow: [], deny: [] },
  snapshot: undefined,
  leaseMs: MAX_LEASE_MS,
  ready: 'pooled',
});

/** Ends the machine that has waited longest. False where none waits. */
export async function giveUpPooled(world: MachinesWorld, op: Op, reason: EndReason = 'surplus'): Promise<boolean> {
  const machine = await oldestPooled(world.db, world.driver.place);
  if (machine) await destroyAs(world, op, machine.id, reason, { state: 'pooled' });
  return machine !== undefined;
}

/** Nobody is refused for the sake of machines that only wait. */
export async function onceThereIsRoom<Result>(
  world: MachinesWorld,
  op: Op,
  work: () => Promise<Result>,
): Promise<Result> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isAppError(error, 'at_capacity') || !(await giveUpPooled(world, op))) throw error;
    }
  }
}

/** Ends those that a process of another version made: nobody is to be given yesterday's base image or init. */
export async function giveUpOutdated(world: MachinesWorld, op: Op): Promise<void> {
  for (const { id } of await pooledMachines(world.db, world.driver.place)) {
    try {
      if (!(await world.driver.isCurrent(id))) await destroyAs(world, op, id, 'surplus', { state: 'pooled' });
    } catch (error) {
      world.log.error({ machineId: id, err: error }, 'a machine of another version could not be given up yet');
    }
  }
}

/** Ends all that wait. */
export async function drainPool(world: MachinesWorld, op: Op): Promise<void> {
  while (await giveUpPooled(world, op));
}
