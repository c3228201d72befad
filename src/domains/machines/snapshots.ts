import { AppError } from '../../kernel/errors.ts';
import type { MachineId, SnapshotId } from '../../kernel/ids.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { pageOf, type Page } from '../../kernel/page.ts';
import { MINUTE } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import * as facts from './facts.ts';
import { whileHeld, type Held } from './held.ts';
import type { Machine } from './machine.ts';
import { mayUse, visibleTo } from './policy.ts';
import { failed } from './rest.ts';
import { checkRoom } from './room.ts';
import {
  checkSnapshotName,
  MAX_SNAPSHOT_GB_PER_ACCOUNT,
  MAX_SNAPSHOTS_PER_ACCOUNT,
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
  snapshotIds,
} from './snapshot-store.ts';
import { findMachine } from './store.ts';
import { take } from './undertaking.ts';
import { letGo } from './undertaking-store.ts';
import { usedBy } from './used.ts';
import type { MachinesWorld } from './world.ts';

const TAKING_TIMEOUT_MS = 3 * MINUTE;
const GIB = 2 ** 30;

/**
 * Copies a machine's disk as it is at one moment, while it runs or rests. Throws `conflict` where the account has as
 * many as it may, `at_capacity` where there is no room for one.
 */
export async function snapshot(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  { name, id: ownId }: { name?: string | undefined; id?: SnapshotId | undefined } = {},
): Promise<Snapshot> {
  checkSnapshotName(name);
  const machine = visibleTo(op, await findMachine(world.db, id));
  const snapshotId = ownId ?? newId(op, 'snapshot', `snapshot of ${id}`);
  const before = op.seed && (await findSnapshot(world.db, snapshotId));
  if (before) return before;
  await admit(world, op, machine, { id: snapshotId, name });
  try {
    return await takeIt(world, op, id, snapshotId);
  } catch (error) {
    await world.db.transact((tx) => giveUpSnapshot(tx, snapshotId));
    // The database may have gone away after it had written that the copy is whole.
    const whole = await findSnapshot(world.db, snapshotId);
    if (whole) return whole;
    await world.driver.removeSnapshot(snapshotId);
    throw error;
  }
}

/** Writes down that it is being taken before anything is there that a sweep would have to know. */
async function admit(
  world: MachinesWorld,
  op: Op,
  machine: Machine,
  { id, name }: { id: SnapshotId; name: string | undefined },
): Promise<void> {
  const [room, expectedBytes] = await Promise.all([world.driver.room(), world.driver.filledBytes(machine.id)]);
  await world.db.transact(async (tx) => {
    const copiedGb = expectedBytes / GIB;
    await checkRoom(tx, world.driver.place, room, { memoryMb: 0, diskGb: 0, copiedGb });
    const kept = await countSnapshots(tx, machine.accountId);
    if (kept.count >= MAX_SNAPSHOTS_PER_ACCOUNT)
      throw new AppError('conflict', `An account may keep ${MAX_SNAPSHOTS_PER_ACCOUNT} snapshots; remove one first.`);
    if (kept.bytes / GIB + copiedGb > MAX_SNAPSHOT_GB_PER_ACCOUNT)
      throw new AppError(
        'conflict',
        `The snapshots of an account may fill ${MAX_SNAPSHOT_GB_PER_ACCOUNT} GB together; remove one first.`,
      );
    if (!(await insertSnapshot(tx, id, machine, { name, at: op.now, expectedBytes })))
      throw new AppError('conflict', 'This snapshot is being taken.');
  });
}

async function takeIt(world: MachinesWorld, op: Op, id: MachineId, snapshotId: SnapshotId): Promise<Snapshot> {
  const taken = await take(world, op, id, { as: 'snapshotting', from: ['running', 'paused', 'stopped'] });
  if ('done' in taken) throw new AppError('conflict', 'This machine has ended.');
  const { held } = taken;
  try {
    const used = usedBy(held.machine, await world.driver.usage(id));
    const signal = AbortSignal.any([op.signal, AbortSignal.timeout(TAKING_TIMEOUT_MS)]);
    const { bytes } = await whileHeld(world, held, () => world.driver.snapshot(id, snapshotId, signal));
    return await world.db.transact((tx) => written(tx, op, held, { id: snapshotId, bytes, used }));
  } catch (error) {
    throw await failed(world, op, held, 'snapshotting', error);
  }
}

async function written(
  tx: Tx,
  op: Op,
  { machine, token }: Held,
  { id, bytes, used }: { id: SnapshotId; bytes: number; used: ReturnType<typeof usedBy> },
): Promise<Snapshot> {
  const whole = await markTaken(tx, id, bytes);
  if (!whole) throw new AppError('conflict', 'This snapshot took too long.');
  await letGo(tx, machine.id, token);
  await facts.snapshotted(tx, op, machine, whole, used);
  return whole;
}

export async function getSnapshot(world: MachinesWorld, op: Op, id: SnapshotId): Promise<Snapshot> {
  const found = await findSnapshot(world.db, id);
  if (!found || !mayUse(op, found)) throw new AppError('not_found', 'Snapshot not found');
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
  await getSnapshot(world, op, id);
  await world.db.transact(async (tx) => {
    const removed = await deleteSnapshot(tx, id);
    if (removed) await facts.snapshotRemoved(tx, op, removed);
  });
  await world.driver.removeSnapshot(id);
}

/** Removes the copies of which nobody knows: of takers that died, and of removals that were cut short. */
export async function sweepSnapshots(world: MachinesWorld): Promise<string[]> {
  const { db, driver, log } = world;
  // A copy is written down before it is made, so what is there and not known afterwards is nobody's.
  const found = await driver.snapshots();
  await db.transact((tx) => giveUpLeftSnapshots(tx, driver.place));
  const known = new Set(await snapshotIds(db, driver.place));
  const removed: string[] = [];
  for (const id of found.filter((one) => !known.has(one))) {
    try {
      await driver.removeSnapshot(id as SnapshotId);
      removed.push(id);
    } catch (error) {
      log.error({ snapshotId: id, err: error }, 'the sweep could not remove a snapshot yet');
    }
  }
  return removed;
}
