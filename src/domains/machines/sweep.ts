import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { after } from '../../kernel/time.ts';
import { abandonedAfterMs } from './create.ts';
import { destroyAs } from './destroy.ts';
import type { Found } from './drivers/driver.ts';
import type { EndReason, Machine } from './machine.ts';
import { giveUpOutdated } from './pool.ts';
import { settle } from './settle.ts';
import { sweepSnapshots } from './snapshots.ts';
import { aliveMachines } from './store.ts';
import { seeMachines, type Seen } from './undertaking-store.ts';
import type { MachinesWorld } from './world.ts';

const DONE_AT_ONCE = 4;

/**
 * Makes the host and the table agree: ends machines whose lease is over, whose maker died or that are gone, finishes
 * what was begun with one by a process that died, and removes whatever bears our name and is no living machine and no
 * snapshot. What cannot be done now is logged and stays for the next sweep.
 */
export async function sweep(world: MachinesWorld, op: Op): Promise<{ removed: string[] }> {
  const { db, driver } = world;
  await driver.guard();
  // The order decides: a machine is written down before it is made. So what was running before we looked and after,
  // and is not found, is gone; and what is found and not alive after we looked, is no one's.
  const before = await seeMachines(db, driver.place);
  const found = new Map((await driver.list()).map((one) => [one.id, one.state]));
  const alive = await seeMachines(db, driver.place);
  const settled = new Map(before.map(({ machine }) => [machine.id, machine.stateAt.getTime()]));
  const steady = alive.filter(({ machine }) => settled.get(machine.id) === machine.stateAt.getTime());
  const removals = [...endings(world, op, steady, found), ...orphans(world, [...found.keys()], alive)];
  const removed = await allOf(world, removals);
  const ended = new Set(removals.map(({ id }) => id));
  await allOf(
    world,
    settlements(
      world,
      op,
      steady.filter(({ machine }) => !ended.has(machine.id)),
      found,
    ),
  );
  return { removed: [...removed, ...(await sweepSnapshots(world))] };
}

type Work = { id: string; work: () => Promise<void> };
type States = ReadonlyMap<string, Found['state']>;

const endings = (world: MachinesWorld, op: Op, machines: readonly Seen[], found: States): Work[] =>
  machines.flatMap((seen) => {
    const reason = reasonToEnd(seen, op.now, found.get(seen.machine.id));
    const { id, stateAt } = seen.machine;
    // Somebody may begin to make it once more in this moment.
    const only = reason === 'abandoned' ? ({ state: 'creating', since: stateAt } as const) : undefined;
    return reason ? [{ id, work: () => destroyAs(world, op, id, reason, only) }] : [];
  });

function reasonToEnd(seen: Seen, now: Date, found: Found['state'] | undefined): EndReason | undefined {
  const { machine } = seen;
  switch (machine.state) {
    case 'destroying':
      return machine.endReason ?? 'requested';
    case 'creating':
      return after(machine.stateAt, abandonedAfterMs(machine)) <= now ? 'abandoned' : undefined;
    case 'running':
      return machine.leaseUntil <= now ? 'lease_expired' : lostUnless(seen, isThere(machine, found));
    case 'pooled':
      return lostUnless(seen, found === 'running' || found === 'paused');
    case 'paused':
    case 'stopped':
      // Its disk is all that it is for now; its owner's domain decides how long it is kept.
      return lostUnless(seen, found !== undefined);
    case 'destroyed':
      return undefined;
  }
}

/** Of a computer its disk is enough: it is started again. */
const isThere = ({ standing }: Machine, found: Found['state'] | undefined): boolean =>
  found === 'running' || found === 'paused' || (standing !== undefined && found === 'remains');

/** What somebody is busy with may look like anything meanwhile. */
const lostUnless = ({ busy }: Seen, isKept: boolean): EndReason | undefined => (isKept || busy ? undefined : 'lost');

const orphans = (world: MachinesWorld, found: readonly string[], alive: readonly Seen[]): Work[] => {
  const known = new Set<string>(alive.map(({ machine }) => machine.id));
  return found.filter((id) => !known.has(id)).map((id) => ({ id, work: () => world.driver.destroy(id as MachineId) }));
};

const settlements = (world: MachinesWorld, op: Op, machines: readonly Seen[], found: States): Work[] =>
  machines.flatMap((seen) => {
    const state = found.get(seen.machine.id);
    return state ? [{ id: seen.machine.id, work: () => settle(world, op, seen, state) }] : [];
  });

async function allOf(world: MachinesWorld, todo: readonly Work[]): Promise<string[]> {
  const queue = todo.values();
  const done: string[] = [];
  const worker = async () => {
    for (const { id, work } of queue) {
      try {
        await work();
        done.push(id);
      } catch (error) {
        world.log.error({ machineId: id, err: error }, 'the sweep could not put a machine right yet');
      }
    }
  };
  await Promise.all(Array.from({ length: DONE_AT_ONCE }, worker));
  return done;
}

/** What a process does when it comes up: keeps the machines that live on from before, and sweeps the rest. */
export async function adopt(world: MachinesWorld, op: Op): Promise<{ adopted: string[]; removed: string[] }> {
  const { removed } = await sweep(world, op);
  await giveUpOutdated(world, op);
  const alive = await aliveMachines(world.db, world.driver.place);
  const adopted = alive.filter(({ state }) => state === 'running' || state === 'paused' || state === 'stopped');
  return { adopted: adopted.map(({ id }) => id), removed };
}
