import { AppError } from '../../kernel/errors.ts';
import type { AccountId, MachineId, SnapshotId } from '../../kernel/ids.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { pageOf, type Page } from '../../kernel/page.ts';
import { MINUTE, SECOND } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import * as facts from './facts.ts';
import { whileHeld, type Held } from './held.ts';
import type { Machine } from './machine.ts';
import { mayUse, visibleTo } from './policy.ts';
import { failed } from './rest.ts';
import { checkRoom } from './room.ts';
import {
  checkSnapshotName,
  newCopyName,
  MAX_SNAPSHOT_GB_PER_ACCOUNT,
  MAX_SNAPSHOTS_PER_ACCOUNT,
  type NewSnapshot,
  type Snapshot,
  type SnapshotCursor,
  type SnapshotFilter,
} from './snapshot.ts';
import {
  countSnapshots,
  deleteSnapshot,
  findSnapshot,
  giveUpLeftSnapshots,
  giveUpSnapshot,
  insertSnapshot,
  markTaken,
  newestSnapshots,
  knownCopies,
  stayTaking,
  type Taking,
} from './snapshot-store.ts';
import { findMachine } from './store.ts';
import { take } from './undertaking.ts';
import { letGo } from './undertaking-store.ts';
import { usedBy } from './used.ts';
import type { MachinesWorld } from './world.ts';

/** Of a machine that does not run; one that runs is copied faster or not at all. */
const TAKING_TIMEOUT_MS = 15 * MINUTE;
const BEAT_MS = 5 * SECOND;
/** By then whoever was taking it has either gone on with it or is taken for dead. */
export const RETRY_AFTER_SECONDS = 10;
const GIB = 2 ** 30;

export type SnapshotOptions = {
  name?: string | undefined;
  /** Its id, where the caller has settled that already. */
  id?: SnapshotId | undefined;
  /** The platform's own for a while, under this id: however often it is asked for, it is taken once. */
  reservedAs?: SnapshotId | undefined;
};

/**
 * Copies a machine's disk as it is at one moment, while it runs or rests. Throws `conflict` where the account has as
 * many as it may, `at_capacity` where there is no room for one.
 */
export async function snapshot(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  { name, id: ownId, reservedAs }: SnapshotOptions = {},
): Promise<Snapshot> {
  checkSnapshotName(name);
  const machine = visibleTo(op, await findMachine(world.db, id));
  const snapshotId = reservedAs ?? ownId ?? newId(op, 'snapshot', `snapshot of ${id}`);
  const before = (reservedAs || op.seed) && (await findWhole(world, snapshotId));
  if (before) return before;
  const { accountId, image, limits } = machine;
  const reserved = reservedAs !== undefined;
  const copy = newCopyName(snapshotId);
  const wanted = { id: snapshotId, accountId, machineId: id, name, copy, image, limits, reserved, createdAt: op.now };
  await admit(world, wanted, await world.driver.filledBytes(id));
  return await whileTaking(world, wanted, () => takeIt(world, op, id, wanted));
}

/** Writes down that it is being taken before anything is there that a sweep would have to know. */
export async function admit(world: MachinesWorld, wanted: NewSnapshot, expectedBytes: number): Promise<void> {
  const room = await world.driver.room();
  await world.db.transact(async (tx) => {
    const copiedGb = expectedBytes / GIB;
    await checkRoom(tx, world.driver.place, room, { memoryMb: 0, diskGb: 0, copiedGb });
    if (!wanted.reserved) await checkShare(tx, wanted.accountId, copiedGb);
    if (!(await insertSnapshot(tx, { ...wanted, expectedBytes }, world.driver)))
      throw new AppError('conflict', 'This snapshot is being taken.', { retryAfterSeconds: RETRY_AFTER_SECONDS });
  });
}

async function checkShare(tx: Tx, accountId: AccountId, copiedGb: number): Promise<void> {
  const kept = await countSnapshots(tx, accountId);
  if (kept.count >= MAX_SNAPSHOTS_PER_ACCOUNT)
    throw new AppError('conflict', `An account may keep ${MAX_SNAPSHOTS_PER_ACCOUNT} snapshots; remove one first.`);
  if (kept.bytes / GIB + copiedGb > MAX_SNAPSHOT_GB_PER_ACCOUNT)
    throw new AppError(
      'conflict',
      `The snapshots of an account may fill ${MAX_SNAPSHOT_GB_PER_ACCOUNT} GB together; remove one first.`,
    );
}

/**
 * Lets everybody know that it is still being taken. Where it fails, nothing is left of this taking; another's is its
 * own, and where that is whole it is the answer.
 */
export async function whileTaking(
  { db, driver, log }: MachinesWorld,
  taking: Taking,
  work: () => Promise<Snapshot>,
): Promise<Snapshot> {
  const beat = setInterval(() => {
    db.transact((tx) => stayTaking(tx, taking)).catch((error: Error) =>
      log.warn({ snapshotId: taking.id, err: error }, 'a snapshot could not be held'),
    );
  }, BEAT_MS);
  try {
    return await work();
  } catch (error) {
    await db.transact((tx) => giveUpSnapshot(tx, taking));
    // The database may have gone away after it had written that the copy is whole.
    const whole = await findSnapshot(db, taking.id);
    if (whole?.copy !== taking.copy) await driver.removeSnapshot(taking.copy);
    if (whole) return whole;
    throw error;
  } finally {
    clearInterval(beat);
  }
}

async function takeIt(world: MachinesWorld, op: Op, id: MachineId, taking: Taking): Promise<Snapshot> {
  const taken = await take(world, op, id, { as: 'snapshotting', from: ['running', 'paused', 'stopped'] });
  if ('done' in taken) throw new AppError('conflict', 'This machine has ended.');
  const { held } = taken;
  try {
    const used = usedBy(held.machine, await world.driver.usage(id));
    const signal = AbortSignal.any([op.signal, AbortSignal.timeout(TAKING_TIMEOUT_MS)]);
    const { bytes } = await whileHeld(world, held, () => world.driver.snapshot(id, taking.copy, signal));
    return await world.db.transact((tx) => written(tx, op, held, { taking, bytes, used }));
  } catch (error) {
    throw await failed(world, op, held, 'snapshotting', error);
  }
}

async function written(
  tx: Tx,
  op: Op,
  { machine, token }: Held,
  { taking, bytes, used }: { taking: Taking; bytes: number; used: ReturnType<typeof usedBy> },
): Promise<Snapshot> {
  const whole = await markTaken(tx, taking, bytes);
  if (!whole)
    throw new AppError('conflict', 'This snapshot took too long.', { retryAfterSeconds: RETRY_AFTER_SECONDS });
  // Whoever took the machine over may be writing the same copy right now. One that has ended nobody takes over.
  if (!(await letGo(tx, machine.id, token)) && isLiving(await findMachine(tx, machine.id)))
    throw new AppError('conflict', 'This snapshot took too long.', { retryAfterSeconds: RETRY_AFTER_SECONDS });
  await facts.snapshotted(tx, op, machine, whole, used);
  return whole;
}

const isLiving = (machine: Machine | undefined): boolean =>
  machine !== undefined && machine.state !== 'destroying' && machine.state !== 'destroyed';

/**
 * One that is all there. What the platform has for a while it can make again, and where the host has gone down since, it
 * must: nobody knows whether the last of it had come to the disk.
 */
export async function findWhole({ db, driver }: MachinesWorld, id: SnapshotId): Promise<Snapshot | undefined> {
  const found = await findSnapshot(db, id);
  if (!found?.reserved || found.place !== driver.place || found.hostStart === driver.hostStart) return found;
  await db.transact((tx) => deleteSnapshot(tx, found));
  await driver.removeSnapshot(found.copy);
  return undefined;
}

export async function getSnapshot(world: MachinesWorld, op: Op, id: SnapshotId): Promise<Snapshot> {
  const found = await findWhole(world, id);
  if (!found || !mayUse(op, found) || (found.reserved && op.actor.kind === 'account'))
    throw new AppError('not_found', 'Snapshot not found');
  return found;
}

/** The caller's snapshots, newest first; the platform and its operator see those of all accounts. */
export async function listSnapshots(
  world: MachinesWorld,
  op: Op,
  filter: SnapshotFilter,
): Promise<Page<Snapshot, SnapshotCursor>> {
  const accountId = op.actor.kind === 'account' ? op.actor.accountId : filter.accountId;
  if (op.actor.kind === 'anonymous') return { rows: [], next: undefined };
  const found = await newestSnapshots(world.db, accountId, filter);
  return pageOf(found, filter.limit, ({ createdAt, id }) => ({ createdAt, id }));
}

/** Machines that began as a copy of it go on. */
export async function removeSnapshot(world: MachinesWorld, op: Op, id: SnapshotId): Promise<void> {
  const found = await getSnapshot(world, op, id);
  await world.db.transact(async (tx) => {
    const removed = await deleteSnapshot(tx, found);
    if (removed) await facts.snapshotRemoved(tx, op, removed);
  });
  await world.driver.removeSnapshot(found.copy);
}

/** Removes the copies of which nobody knows: of takers that died, and of removals that were cut short. */
export async function sweepSnapshots(world: MachinesWorld): Promise<string[]> {
  const { db, driver, log } = world;
  // A copy is written down before it is made, so what is there and not known afterwards is nobody's.
  const found = await driver.snapshots();
  await db.transact((tx) => giveUpLeftSnapshots(tx, driver.place));
  const known = new Set(await knownCopies(db, driver.place));
  const removed: string[] = [];
  for (const copy of found.filter((one) => !known.has(one))) {
    try {
      await driver.removeSnapshot(copy);
      removed.push(copy);
    } catch (error) {
      log.error({ copy, err: error }, 'the sweep could not remove a snapshot yet');
    }
  }
  return removed;
}
