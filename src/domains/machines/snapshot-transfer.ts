import type { Readable } from 'node:stream';
import { AppError } from '../../kernel/errors.ts';
import type { AccountId, MachineId, SnapshotId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import * as facts from './facts.ts';
import type { Limits } from './drivers/driver.ts';
import { newCopyName, type Snapshot } from './snapshot.ts';
import { markTaken } from './snapshot-store.ts';
import { admit, findWhole, getSnapshot, RETRY_AFTER_SECONDS, whileTaking } from './snapshots.ts';
import type { MachinesWorld } from './world.ts';

/** A snapshot that comes from elsewhere, with what was known of the one that it is a copy of. */
export type SnapshotImport = {
  id: SnapshotId;
  accountId: AccountId;
  machineId: MachineId;
  image: string;
  limits: Limits;
  /** What it will fill at most, in bytes. */
  expectedBytes: number;
};

/** Its bytes, for `importSnapshot` here or elsewhere. The stream fails where they cannot all be read. */
export async function exportSnapshot(world: MachinesWorld, op: Op, id: SnapshotId): Promise<Readable> {
  const { copy } = await getSnapshot(world, op, id);
  return world.driver.exportSnapshot(copy, op.signal);
}

/**
 * Makes a snapshot of the platform's own out of such bytes; under one id it is made once. What the bytes throw while
 * they come is thrown on, and nothing is left then.
 */
export async function importSnapshot(
  world: MachinesWorld,
  op: Op,
  wanted: SnapshotImport,
  content: AsyncIterable<Uint8Array>,
): Promise<Snapshot> {
  const { id, expectedBytes, ...rest } = wanted;
  const before = await findWhole(world, id);
  if (before) return before;
  const taking = { id, copy: newCopyName(id) };
  await admit(world, { ...taking, ...rest, name: undefined, reserved: true, createdAt: op.now }, expectedBytes);
  return await whileTaking(world, taking, async () => {
    const incoming = { content, diskGb: rest.limits.diskGb };
    const { bytes } = await world.driver.importSnapshot(taking.copy, incoming, op.signal);
    return await world.db.transact(async (tx) => {
      const whole = await markTaken(tx, taking, bytes);
      if (!whole)
        throw new AppError('conflict', 'This snapshot took too long.', { retryAfterSeconds: RETRY_AFTER_SECONDS });
      await facts.snapshotImported(tx, op, whole);
      return whole;
    });
  });
}
