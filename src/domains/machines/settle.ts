import { randomUUID } from 'node:crypto';
import type { Op } from '../../kernel/op.ts';
import type { Found } from './drivers/driver.ts';
import * as facts from './facts.ts';
import { whileHeld, type Held } from './held.ts';
import { driverRulesOf } from './rules.ts';
import { BOOT_TIMEOUT_MS, specOf, type Machine, type Undertaking } from './machine.ts';
import {
  letGo,
  markAwake,
  markResting,
  stayBusy,
  takeMachine,
  takeOver,
  type Busy,
  type Seen,
} from './undertaking-store.ts';
import { usedBy } from './used.ts';
import type { MachinesWorld } from './world.ts';

type Resting = 'paused' | 'stopped';

/** Puts right what a process left that died while it was doing something with a machine. */
export async function settleLeft(
  world: MachinesWorld,
  op: Op,
  { machine: { id }, busy }: { machine: Machine; busy: Busy },
): Promise<void> {
  const token = randomUUID();
  const machine = await world.db.transact((tx) => takeOver(tx, id, busy.token, token));
  if (machine) await settleHeld(world, op, { machine, token }, busy.with);
}

/** After something went wrong half-way: makes the table say what is, or finishes what cannot be taken back. */
export async function settleHeld(world: MachinesWorld, op: Op, held: Held, undertaking: Undertaking): Promise<void> {
  const isOurs = await world.db.transact((tx) => stayBusy(tx, held.machine.id, held.token));
  if (isOurs) await whileHeld(world, held, () => putRight(world, op, held, undertaking));
}

async function putRight(world: MachinesWorld, op: Op, held: Held, undertaking: Undertaking): Promise<void> {
  const { machine } = held;
  const found = await stateOnHost(world, machine);
  switch (undertaking) {
    case 'pausing':
    case 'resuming':
      if (found === 'running') return become(world, op, held, 'running');
      return found === 'paused' ? become(world, op, held, 'paused') : keep(world, held);
    case 'stopping':
      await world.driver.stop(machine.id);
      return become(world, op, held, 'stopped');
    case 'booting':
      if (found === 'running') return become(world, op, held, 'running');
      await world.driver.stop(machine.id);
      return keep(world, held);
    case 'holding back':
      if (found === 'paused') await world.driver.resume(machine.id);
      return keep(world, held);
    case 'ruling':
      if (found === 'running' || found === 'paused')
        await world.driver.setRules(machine.id, driverRulesOf(machine.rules));
      return keep(world, held);
    case 'snapshotting':
    case 'settling':
      await agree(world, op, held, found);
      return keep(world, held);
  }
}

/** Where host and table say different things of a machine that nobody is busy with, the table is right. */
export async function settle(world: MachinesWorld, op: Op, { machine, busy }: Seen, found: Found['state']) {
  if (busy?.isLeft) return settleLeft(world, op, { machine, busy });
  if (busy || !disagree(machine, found)) return;
  const token = randomUUID();
  const from = [machine.state];
  const taken = await world.db.transact((tx) => takeMachine(tx, machine.id, { as: 'settling', from, token }));
  // It may have been looked at in the middle of something that is over by now.
  if (taken) await settleHeld(world, op, { machine: taken, token }, 'settling');
}

function disagree({ state, standing }: Machine, found: Found['state']): boolean {
  if (state === 'running' && standing && found === 'remains') return true;
  if (state === 'running' || state === 'pooled') return found === 'paused';
  if (state === 'paused') return found !== 'paused';
  return state === 'stopped' && found !== 'remains';
}

async function agree(world: MachinesWorld, op: Op, held: Held, found: Found['state'] | undefined): Promise<void> {
  const { machine } = held;
  if (found === undefined || !disagree(machine, found)) return;
  if (goesOnAlone(machine) && found === 'remains') return recover(world, op, held);
  if (machine.state === 'stopped') return world.driver.stop(machine.id);
  if (machine.state !== 'paused') return world.driver.resume(machine.id);
  if (found === 'running') return world.driver.pause(machine.id);
  // Its processes ended with the host, but its disk is there.
  await world.driver.stop(machine.id);
  await become(world, op, held, 'stopped');
}

/** Of one that was held back nobody wanted that it rests: there is nobody who would wake it. */
const goesOnAlone = ({ state, standing, heldBack }: Machine): boolean =>
  standing !== undefined && (state === 'running' || (state === 'paused' && heldBack));

/** The host went down, or the machine's first process ended: a computer starts again then. */
async function recover(world: MachinesWorld, op: Op, { machine, token }: Held): Promise<void> {
  await world.driver.stop(machine.id);
  const signal = AbortSignal.any([op.signal, AbortSignal.timeout(BOOT_TIMEOUT_MS)]);
  await world.driver.boot(specOf(machine), signal);
  await world.db.transact(async (tx) => {
    const wake = { at: world.clock.now(), leaseMs: undefined };
    const running =
      machine.state === 'paused' ? await markAwake(tx, machine.id, token, wake) : await letGo(tx, machine.id, token);
    if (running) await facts.recovered(tx, op, running);
  });
}

const stateOnHost = async (world: MachinesWorld, { id }: Machine): Promise<Found['state'] | undefined> =>
  (await world.driver.list()).find((found) => found.id === id)?.state;

async function keep(world: MachinesWorld, { machine, token }: Held): Promise<void> {
  await world.db.transact((tx) => letGo(tx, machine.id, token));
}

async function become(world: MachinesWorld, op: Op, held: Held, state: 'running' | Resting): Promise<void> {
  const { machine, token } = held;
  if (machine.state === state) return keep(world, held);
  const used = usedBy(machine, await world.driver.usage(machine.id));
  const at = world.clock.now();
  await world.db.transact(async (tx) => {
    const changed =
      state === 'running'
        ? await markAwake(tx, machine.id, token, { at, leaseMs: undefined })
        : await markResting(tx, machine.id, token, { at, state, used });
    if (changed) await facts.changed(tx, op, changed, machine.state, used);
  });
}
