import { AppError, isAppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { Tx } from '../../platform/db.ts';
import type { Usage } from './drivers/driver.ts';
import * as facts from './facts.ts';
import { trustGateway } from './egress/trust.ts';
import { whileHeld, type Held } from './held.ts';
import { BOOT_TIMEOUT_MS, checkLease, specOf, type Machine, type Undertaking } from './machine.ts';
import { visibleTo } from './policy.ts';
import { onceThereIsRoom } from './pool.ts';
import { checkRoom, hasRoomFrozen } from './room.ts';
import { checkRules, driverRulesOf, type EgressRules } from './rules.ts';
import { settleHeld } from './settle.ts';
import { findMachine, lockHeldBack, noteWanted } from './store.ts';
import { take, type Wish } from './undertaking.ts';
import { markAwake, markResting, markRuled } from './undertaking-store.ts';
import { usedBy } from './used.ts';
import type { MachinesWorld } from './world.ts';

const MIB = 2 ** 20;

export type WakeOptions = {
  /** Milliseconds from now until it is taken away; what was left of its lease where it is not said. */
  leaseMs?: number | undefined;
};

/** Freezes a machine with all its processes and memory. Its lease and its running time stand still. */
export async function pause(world: MachinesWorld, op: Op, id: MachineId): Promise<Machine> {
  const paused = await change(world, op, id, {
    as: 'pausing',
    from: ['running'],
    done: 'paused',
    drive: () => world.driver.pause(id),
    write: frozen(world, async (tx, resting, { machine, used }) => facts.changed(tx, op, resting, machine.state, used)),
  });
  if (!paused.heldBack) return paused;
  // It may be let go on at this very moment.
  const isNoted = await world.db.transact((tx) => noteWanted(tx, id));
  return isNoted ? { ...paused, heldBack: false } : await pause(world, op, id);
}

/** Freezes a machine because the disk of its host runs short: it goes on when there is room. */
export const holdBack = (world: MachinesWorld, op: Op, id: MachineId): Promise<Machine> =>
  change(world, op, id, {
    as: 'holding back',
    from: ['running'],
    done: 'paused',
    drive: () => world.driver.pause(id),
    write: frozen(world, async (tx, resting, { used }) => facts.heldBack(tx, op, resting, used), { heldBack: true }),
  });

/** Whether all that are frozen hold little enough for this one to be frozen as well. */
export async function mayFreeze(world: MachinesWorld, op: Op, id: MachineId): Promise<boolean> {
  visibleTo(op, await findMachine(world.db, id));
  const [room, usage] = await Promise.all([world.driver.room(), world.driver.usage(id)]);
  return await world.db.transact((tx) => hasRoomFrozen(tx, world.driver.place, room, heldMb(usage) ?? 0));
}

/** Ends all processes of a machine, after a few seconds or the grace time by force, and keeps its disk. */
export const stop = (
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  { graceMs }: { graceMs?: number } = {},
): Promise<Machine> =>
  change(world, op, id, {
    as: 'stopping',
    from: ['running', 'paused'],
    done: 'stopped',
    drive: () => world.driver.stop(id, graceMs),
    write: restingAs(world, op, 'stopped'),
  });

/** Lets a paused machine go on where it was. Throws `at_capacity` where there is no room for it to run. */
export const resume = (world: MachinesWorld, op: Op, id: MachineId, options: WakeOptions = {}): Promise<Machine> =>
  goOn(world, op, id, options);

/** The same with one that was held back. Throws `conflict` where its owner wants it to rest by now. */
export const letGoOn = (world: MachinesWorld, op: Op, id: MachineId): Promise<Machine> =>
  goOn(world, op, id, {}, async (tx) => {
    if (!(await lockHeldBack(tx, id))) throw new AppError('conflict', 'This machine is not held back any more.');
  });

async function goOn(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  { leaseMs }: WakeOptions,
  checkMore?: (tx: Tx) => Promise<void>,
): Promise<Machine> {
  if (leaseMs !== undefined) checkLease(leaseMs);
  const room = await world.driver.room();
  const wish: Change = {
    as: 'resuming',
    from: ['paused'],
    done: 'running',
    check: async (tx, { limits: { memoryMb }, frozenMb = memoryMb }) => {
      await checkRoom(tx, world.driver.place, room, { memoryMb, diskGb: 0, frozenMb });
      await checkMore?.(tx);
    },
    drive: () => world.driver.resume(id),
    write: awake(world, op, leaseMs),
  };
  return await onceThereIsRoom(world, op, () => change(world, op, id, wish));
}

/** Starts a stopped machine from its disk. Throws `at_capacity` where there is no room for its memory. */
export async function boot(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  { leaseMs }: WakeOptions = {},
): Promise<Machine> {
  if (leaseMs !== undefined) checkLease(leaseMs);
  const room = await world.driver.room();
  const wish: Change = {
    as: 'booting',
    from: ['stopped'],
    done: 'running',
    check: (tx, { limits }) => checkRoom(tx, world.driver.place, room, { memoryMb: limits.memoryMb, diskGb: 0 }),
    drive: (machine) => {
      const signal = AbortSignal.any([op.signal, AbortSignal.timeout(BOOT_TIMEOUT_MS)]);
      return world.driver.boot(specOf(machine), signal);
    },
    write: awake(world, op, leaseMs),
  };
  return await onceThereIsRoom(world, op, () => change(world, op, id, wish));
}

/** What of the internet a machine may reach from now on, also over connections that are open. */
export async function setRules(world: MachinesWorld, op: Op, id: MachineId, rules: EgressRules): Promise<Machine> {
  checkRules(rules);
  return await change(world, op, id, {
    as: 'ruling',
    from: ['running', 'paused', 'stopped'],
    check: async (_, { network }) => {
      if (network !== 'egress') throw new AppError('conflict', 'This machine has no network.');
    },
    drive: async (machine) => {
      if (machine.state !== 'stopped') await world.driver.setRules(id, driverRulesOf(rules));
      if (machine.state === 'running') await trustGateway(world, machine, rules, op.signal);
    },
    write: async (tx, held) => {
      const ruled = await markRuled(tx, id, held.token, rules);
      if (ruled) await facts.ruled(tx, op, ruled);
      return ruled;
    },
  });
}

type Change = Wish & {
  drive(machine: Machine): Promise<void>;
  /** Writes down what came of it; undefined where the machine has ended meanwhile. */
  write(tx: Tx, held: Held & { used: ReturnType<typeof usedBy> }): Promise<Machine | undefined>;
};

async function change(world: MachinesWorld, op: Op, id: MachineId, wish: Change): Promise<Machine> {
  const taken = await take(world, op, id, wish);
  if ('done' in taken) return taken.done;
  const { held } = taken;
  try {
    const used = usedBy(held.machine, await world.driver.usage(id));
    await whileHeld(world, held, () => wish.drive(held.machine));
    const changed = await world.db.transact((tx) => wish.write(tx, { ...held, used }));
    if (changed) return changed;
  } catch (error) {
    throw await failed(world, op, held, wish.as, error);
  }
  throw await overtaken(world, id, wish.as);
}

/** What to tell one whose machine was taken away in the middle of it. */
async function overtaken(world: MachinesWorld, id: MachineId, as: Undertaking): Promise<AppError> {
  const machine = await findMachine(world.db, id);
  const hasEnded = machine === undefined || machine.state === 'destroying' || machine.state === 'destroyed';
  // Whoever destroyed it may have come before our driver made its last piece.
  if (hasEnded && as === 'booting') await world.driver.destroy(id);
  return new AppError('conflict', hasEnded ? 'This machine has ended.' : FAILURES[as]);
}

const restingAs =
  (world: MachinesWorld, op: Op, state: 'stopped'): Change['write'] =>
  async (tx, { machine, token, used }) => {
    const resting = await markResting(tx, machine.id, token, { at: world.clock.now(), state, used });
    if (resting) await facts.changed(tx, op, resting, machine.state, used);
    return resting;
  };

type Writing = Parameters<Change['write']>[1];

/** Looked at when it is frozen, so that it holds what it is said to hold. */
const frozen =
  (
    world: MachinesWorld,
    tell: (tx: Tx, resting: Machine, writing: Writing) => Promise<void>,
    { heldBack = false }: { heldBack?: boolean } = {},
  ): Change['write'] =>
  async (tx, writing) => {
    const { machine, token, used } = writing;
    const frozenMb = heldMb(await world.driver.usage(machine.id));
    const rest = { at: world.clock.now(), state: 'paused', used, frozenMb, heldBack } as const;
    const resting = await markResting(tx, machine.id, token, rest);
    if (resting) await tell(tx, resting, writing);
    return resting;
  };

const heldMb = (usage: Usage | undefined): number | undefined => usage && usage.memoryBytes / MIB;

const awake =
  (world: MachinesWorld, op: Op, leaseMs: number | undefined): Change['write'] =>
  async (tx, { machine, token, used }) => {
    const running = await markAwake(tx, machine.id, token, { at: world.clock.now(), leaseMs });
    if (running) await facts.changed(tx, op, running, machine.state, used);
    return running;
  };

const FAILURES: Record<Undertaking, string> = {
  pausing: 'The machine could not be paused.',
  resuming: 'The machine could not be resumed.',
  stopping: 'The machine could not be stopped.',
  booting: 'The machine could not be started from its disk.',
  snapshotting: 'No snapshot could be taken of the machine.',
  ruling: 'The network rules of the machine could not be set.',
  settling: 'The machine could not be put right.',
  'holding back': 'The machine could not be held back.',
};

/** Makes the table say what is after all, and answers what to tell the caller. */
export async function failed(
  world: MachinesWorld,
  op: Op,
  held: Held,
  as: Undertaking,
  error: unknown,
): Promise<Error> {
  const { id } = held.machine;
  world.log.warn({ machineId: id, err: error }, FAILURES[as]);
  await settleHeld(world, op, held, as).catch((failure: Error) =>
    // It is left then, and put right by whoever comes next.
    world.log.error({ machineId: id, err: failure }, 'a machine could not be put right yet'),
  );
  if (op.signal.aborted && op.signal.reason instanceof Error) return op.signal.reason;
  return isAppError(error) ? error : new AppError('conflict', FAILURES[as], { cause: error });
}
