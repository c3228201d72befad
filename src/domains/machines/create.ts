import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../kernel/errors.ts';
import type { AccountId, MachineId, SnapshotId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { after, SECOND } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import { destroyAs } from './destroy.ts';
import type { CopyName, Limits, NetworkMode, Standing } from './drivers/driver.ts';
import * as facts from './facts.ts';
import { BASE } from './images/image.ts';
import { specOf, unfit, type Machine } from './machine.ts';
import { trustGateway } from './egress/trust.ts';
import { checkRoom } from './room.ts';
import type { EgressRules } from './rules.ts';
import { findSnapshot, holdSnapshot } from './snapshot-store.ts';
import { findMachine, insertMachine, lockMachine, lockRoom, markReady, restartCreation } from './store.ts';
import type { MachinesWorld } from './world.ts';

/** A machine that is to be made, with all that can be said of it settled. */
export type Wanted = {
  id: MachineId;
  accountId: AccountId;
  purpose: string;
  image: string;
  limits: Limits;
  network: NetworkMode;
  rules: EgressRules;
  snapshot: SnapshotId | undefined;
  standing?: Standing | undefined;
  leaseMs: number;
  /** What it becomes when it takes commands. */
  ready: 'running' | 'pooled';
};

/**
 * A driver that has not made a machine in this time never will; the margin lets its maker give up before anyone else
 * takes the machine for abandoned.
 */
const CREATE_TIMEOUT_MS = 30 * SECOND;
const MARGIN_MS = 15 * SECOND;
/** A computer that begins with a copy of a disk may have much to copy. */
const COPY_MS_FOR_EACH_GB = 4 * SECOND;

type Making = Pick<Wanted, 'limits' | 'standing'> & { snapshotId: SnapshotId | undefined };

const createTimeoutOf = ({ snapshotId, standing, limits }: Making): number =>
  CREATE_TIMEOUT_MS + (snapshotId && standing ? Math.ceil(limits.diskGb * COPY_MS_FOR_EACH_GB) : 0);

/** After this time whoever was making the machine is dead. */
export const abandonedAfterMs = (machine: Making): number => createTimeoutOf(machine) + MARGIN_MS;
const WAIT_STEP_MS = 100;
const GIB = 2 ** 30;

/** Makes a machine; under one id any number of calls make one. Where it fails, nothing of the machine is left. */
export async function create(world: MachinesWorld, asked: Op, wanted: Wanted): Promise<Machine> {
  for (;;) {
    // To copy a disk may take minutes: what does so keeps nobody else from a turn.
    const made = await (wanted.snapshot ? make(world, asked, wanted) : world.makers(make, world, asked, wanted));
    if (made.kind === 'ready') return made.machine;
    await untilMade(world, asked, made.machine);
  }
}

type Made = { kind: 'ready' | 'wait'; machine: Machine };

async function make(world: MachinesWorld, asked: Op, wanted: Wanted): Promise<Made> {
  asked.signal.throwIfAborted();
  // A job may have been at work for long before it needs a machine: by its time this one would be abandoned at birth.
  const op = { ...asked, now: world.clock.now() };
  const { kind, machine } = await claim(world, op, wanted);
  if (kind === 'ready' || kind === 'wait') return { kind, machine };
  if (kind === 'again') await world.driver.destroy(wanted.id);
  try {
    const signal = AbortSignal.any([op.signal, AbortSignal.timeout(createTimeoutOf(machine))]);
    const snapshot = await copyFor(world, machine);
    await world.driver.create({ ...specOf(machine), snapshot }, signal);
    await trustGateway(world, machine, machine.rules, signal);
    const ready = await world.db.transact((tx) => becomeReady(world, tx, op, machine, wanted.ready));
    return { kind: 'ready', machine: ready };
  } catch (error) {
    await giveUp(world, op, machine, error);
    throw error;
  }
}

/** What its disk begins as a copy of: nothing, or a snapshot that may have been removed by now. */
async function copyFor({ db }: MachinesWorld, { snapshotId }: Machine): Promise<CopyName | undefined> {
  if (snapshotId === undefined) return undefined;
  const snapshot = await findSnapshot(db, snapshotId);
  if (!snapshot) throw new AppError('not_found', 'Snapshot not found');
  return snapshot.copy;
}

type Claim = { kind: 'make' | 'again' | 'wait' | 'ready'; machine: Machine };

/** Decides in one transaction who makes the machine, and writes that down before anything is made. */
async function claim(world: MachinesWorld, op: Op, wanted: Wanted): Promise<Claim> {
  const room = await world.driver.room();
  return world.db.transact(async (tx) => {
    const found = await lockMachine(tx, wanted.id);
    if (found) return await claimAgain(tx, op, wanted, found);
    await lockRoom(tx, world.driver.place);
    const raced = await findMachine(tx, wanted.id);
    if (raced) return await claimAgain(tx, op, wanted, raced);
    const { image, copiedGb } = await sourceOf(world, tx, wanted);
    await checkRoom(tx, world.driver.place, room, { ...wanted.limits, machines: 1, copiedGb });
    const machine = newMachine(world, op, { ...wanted, image });
    await insertMachine(tx, machine);
    await facts.requested(tx, op, machine);
    return { kind: 'make', machine };
  });
}

async function claimAgain(tx: Tx, op: Op, wanted: Wanted, found: Machine): Promise<Claim> {
  if (found.accountId !== wanted.accountId) throw new AppError('conflict', 'This machine id is taken.');
  if (found.state === 'running') return { kind: 'ready', machine: found };
  if (found.state !== 'creating') throw new AppError('conflict', unfit(found.state));
  if (after(found.stateAt, abandonedAfterMs(found)) > op.now) return { kind: 'wait', machine: found };
  const leaseUntil = after(op.now, wanted.leaseMs);
  await restartCreation(tx, found.id, op.now, leaseUntil);
  return { kind: 'again', machine: { ...found, stateAt: op.now, leaseUntil } };
}

/** A disk that begins as a copy only makes sense over the image that the first one was made of. */
async function sourceOf(world: MachinesWorld, tx: Tx, wanted: Wanted): Promise<{ image: string; copiedGb: number }> {
  if (wanted.snapshot === undefined)
    return { image: wanted.image === BASE ? world.driver.baseImage : wanted.image, copiedGb: 0 };
  const snapshot = await holdSnapshot(tx, wanted.snapshot, world.driver.place);
  if (snapshot?.accountId !== wanted.accountId) throw new AppError('not_found', 'Snapshot not found');
  if (wanted.limits.diskGb < snapshot.limits.diskGb)
    throw new AppError('invalid', `diskGb must be at least ${snapshot.limits.diskGb}, as in the snapshot`);
  return { image: snapshot.image, copiedGb: snapshot.bytes / GIB };
}

function newMachine(world: MachinesWorld, op: Op, wanted: Wanted): Machine {
  const { place, name, tier, runtime } = world.driver;
  return {
    id: wanted.id,
    accountId: wanted.accountId,
    purpose: wanted.purpose,
    place,
    driver: name,
    tier,
    runtime,
    state: 'creating',
    stateAt: op.now,
    image: wanted.image,
    limits: wanted.limits,
    network: wanted.network,
    rules: wanted.rules,
    snapshotId: wanted.snapshot,
    standing: wanted.standing,
    leaseUntil: after(op.now, wanted.leaseMs),
    leaseLeftMs: undefined,
    createdAt: op.now,
    startedAt: undefined,
    endedAt: undefined,
    endReason: undefined,
    cpuSeconds: undefined,
    ranMs: 0,
    runningSince: undefined,
    usedBefore: { cpuSeconds: 0, networkReceivedBytes: 0, networkSentBytes: 0 },
    frozenMb: undefined,
    heldBack: false,
  };
}

async function becomeReady(
  world: MachinesWorld,
  tx: Tx,
  op: Op,
  machine: Machine,
  state: Wanted['ready'],
): Promise<Machine> {
  const ready = await markReady(tx, machine.id, machine.stateAt, { state, at: world.clock.now() });
  if (!ready) throw new AppError('conflict', 'This machine was destroyed while it was being created.');
  if (state === 'running') await facts.started(tx, op, ready);
  else await facts.pooled(tx, op, ready);
  return ready;
}

/**
 * Removes what was made. What cannot be removed now stays marked, and the sweep tries again. One that was slow beyond
 * its time may find that another has made the machine meanwhile: that one is not its own to remove.
 */
async function giveUp(world: MachinesWorld, op: Op, { id, stateAt }: Machine, error: unknown): Promise<void> {
  world.log.warn({ machineId: id, err: error }, 'a machine could not be started');
  try {
    await destroyAs(world, op, id, 'failed_to_start', { state: 'creating', since: stateAt });
    // Whoever destroyed it meanwhile may have come before our driver made its last piece.
    const left = await findMachine(world.db, id);
    if (left?.state === 'destroying' || left?.state === 'destroyed') await world.driver.destroy(id);
  } catch (failure) {
    world.log.error({ machineId: id, err: failure }, 'a failed machine could not be removed yet');
  }
}

/** Waits for whoever else is making this machine, until it is made or its maker must be dead. */
async function untilMade(world: MachinesWorld, op: Op, machine: Machine): Promise<void> {
  const until = after(machine.stateAt, abandonedAfterMs(machine));
  while (world.clock.now() < until) {
    op.signal.throwIfAborted();
    const found = await findMachine(world.db, machine.id);
    if (found?.state !== 'creating') return;
    await sleep(WAIT_STEP_MS);
  }
}
