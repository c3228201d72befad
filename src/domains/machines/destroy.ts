import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import * as facts from './facts.ts';
import type { Usage } from './drivers/driver.ts';
import type { EndReason, Machine, MachineState } from './machine.ts';
import { visibleTo } from './policy.ts';
import { lastSampleOf } from './sample-store.ts';
import { findMachine, lockMachine, markDestroyed, markDestroying } from './store.ts';
import { usedBy } from './used.ts';
import type { MachinesWorld } from './world.ts';

/**
 * Ends a machine and removes all that belongs to it, in whatever state it is; a second time it has no effect, and an
 * id under which no machine was ever started is no machine to destroy.
 */
export async function destroy(world: MachinesWorld, op: Op, id: MachineId): Promise<void> {
  const machine = await findMachine(world.db, id);
  if (!machine) return;
  visibleTo(op, machine);
  await destroyAs(world, op, id, 'requested');
}

/** In this state, and where `since` is given, in the one that began then: not in a later one of the same name. */
export type Only = { state: MachineState; since?: Date };

/**
 * Says why it ends and, where `only` is given, ends it in no other state. Until the driver is done the machine is
 * `destroying`, so that a crash here is taken up again.
 */
export async function destroyAs(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  reason: EndReason,
  only?: Only,
): Promise<void> {
  const usage = await world.driver.usage(id);
  // Nobody knows how long it ran after that; a host that was down for a day is not to count.
  const seen = reason === 'lost' ? await lastSampleOf(world.db, id) : undefined;
  const pending = await world.db.transact(async (tx) => {
    const found = await lockMachine(tx, id);
    if (only?.since && found?.stateAt.getTime() !== only.since.getTime()) return undefined;
    const ending = found && { at: world.clock.now(), reason, ...knownOf(found, usage, seen, world.clock.now()) };
    const machine = ending && (await markDestroying(tx, id, ending, only && [only.state]));
    if (machine) await facts.ending(tx, op, machine);
    return machine ?? found;
  });
  if (pending?.state !== 'destroying') return;
  await world.driver.destroy(id);
  await world.db.transact(async (tx) => {
    const gone = await markDestroyed(tx, id, world.clock.now());
    if (gone) await facts.destroyed(tx, op, gone, seen?.at);
  });
}

/** Until when it is known to have run since it last began to, and what it had used by then. */
function knownOf(machine: Machine, usage: Usage | undefined, seen: (Usage & { at: Date }) | undefined, now: Date) {
  const isOfThisRun = seen && machine.runningSince && seen.at >= machine.runningSince;
  return isOfThisRun ? { ranUntil: seen.at, used: seen } : { ranUntil: now, used: usedBy(machine, usage) };
}
