import { assert, isAppError } from '../../../kernel/errors.ts';
import type { BackupId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { elapsedMs } from '../../../kernel/time.ts';
import type { Tx } from '../../../platform/db.ts';
import type { Snapshot } from '../../machines/index.ts';
import { whileClaimed } from '../claim.ts';
import { findServer } from '../store.ts';
import { steadfast, type ComputeWorld } from '../world.ts';
import { MAX_BACKUP_ATTEMPTS, MAX_BACKUP_WAITING_MS, type Backup, type BackupContent } from './backup.ts';
import { tellOfBackup } from './facts.ts';
import { expireWithin } from './request.ts';
import { findSchedule } from './schedule-store.ts';
import { isBeingRestored, lockBackup, lockClaimed, saveBackup, surplusOf, unsettledBackups } from './store.ts';
import { summed } from './sums.ts';

/**
 * Does what is to be done with a backup: makes it, or removes what is left of it. By anybody, any number of times: one
 * at a time works on it, and whoever comes beside him has nothing to do.
 */
export async function settleBackup(world: ComputeWorld, op: Op, id: BackupId): Promise<void> {
  while (!op.signal.aborted) {
    const goesOn = await whileClaimed(world.db, unsettledBackups, id, (backup, claim) =>
      attempt(world, op, backup, claim),
    );
    if (!goesOn) return;
  }
}

/** Whether it may be gone on with at once. */
async function attempt(world: ComputeWorld, op: Op, backup: Backup, claim: string): Promise<boolean> {
  try {
    if (backup.state !== 'pending') return await tidy(world, op, backup, claim);
    await make(world, op, backup, claim);
    return true;
  } catch (error) {
    const { id: backupId, state } = backup;
    world.log.warn({ backupId, state, err: error }, 'a backup could not be settled yet');
    // Whoever is told to stop leaves it to another.
    if (state === 'pending' && !op.signal.aborted && !isForLater(error))
      await noteFailure(world, op, backup, claim, error);
    return false;
  }
}

/** What a process that died was at is not free yet: that is no failure. */
const isForLater = (error: unknown): boolean => isAppError(error, 'conflict') && error.retryAfterSeconds !== undefined;

/** Copies the disk, and then, while the server goes on, exports the copy. */
async function make(world: ComputeWorld, op: Op, backup: Backup, claim: string): Promise<void> {
  const { machines, blobs, db } = world;
  const snapshot = await copied(world, op, backup);
  const key = `backups/${backup.id}-${claim}`;
  // Whoever was at it before may have left something behind.
  if (backup.blobKey !== undefined) await blobs.remove(backup.blobKey);
  if (!(await db.transact((tx) => noteKey(tx, backup.id, claim, key)))) return;
  const { stream, sums } = summed(await machines.exportSnapshot(op, snapshot.id));
  try {
    await blobs.put(key, stream, op.signal);
  } finally {
    // Where it was not read to its end, nobody goes on reading the disk.
    stream.destroy();
  }
  const { image, limits, bytes: diskBytes } = snapshot;
  const content = { image, limits, diskBytes, ...sums() };
  const now = world.clock.now();
  const isKept = await db.transact((tx) =>
    becomeAvailable(world, tx, { ...op, now }, { id: backup.id, claim, content }),
  );
  if (!isKept) await blobs.remove(key);
}

async function copied({ machines, db }: ComputeWorld, op: Op, { serverId, snapshotId }: Backup): Promise<Snapshot> {
  const server = await findServer(db, serverId);
  assert(server && snapshotId, 'a backup that is made has a server and the name of a copy');
  try {
    return await machines.getSnapshot(op, snapshotId);
  } catch (error) {
    if (!isAppError(error, 'not_found')) throw error;
  }
  return await machines.snapshot(op, server.machineId, { reservedAs: snapshotId });
}

/** False where it is wanted no more, or another has it. */
async function noteKey(tx: Tx, id: BackupId, claim: string, key: string): Promise<boolean> {
  const backup = await lockClaimed(tx, id, claim);
  if (backup?.state !== 'pending') return false;
  await saveBackup(tx, { ...backup, blobKey: key });
  return true;
}

async function becomeAvailable(
  world: ComputeWorld,
  tx: Tx,
  op: Op,
  { id, claim, content }: { id: BackupId; claim: string; content: BackupContent },
): Promise<boolean> {
  const backup = await lockClaimed(tx, id, claim);
  // Where it was deleted meanwhile, its bytes are removed by whoever removes those of others.
  if (backup?.state !== 'pending') return backup !== undefined;
  await saveBackup(tx, { ...backup, state: 'available', waiting: undefined, content });
  const { bytes, diskBytes } = content;
  await tellOfBackup(tx, op, 'backup.available', backup, { bytes, diskBytes });
  if (backup.scheduled) await expireSurplus(world, tx, op, backup);
  return true;
}

async function expireSurplus(world: ComputeWorld, tx: Tx, op: Op, { serverId }: Backup): Promise<void> {
  const schedule = await findSchedule(tx, serverId);
  if (!schedule) return;
  for (const id of await surplusOf(tx, serverId, schedule.keep)) {
    const older = await lockBackup(tx, id);
    if (older?.state === 'available') await expireWithin(world, tx, op, older);
  }
}

/** It is tried again: after a few failures it is in error, and after it has waited for room for long enough. */
async function noteFailure(world: ComputeWorld, op: Op, { id }: Backup, claim: string, error: unknown): Promise<void> {
  const now = world.clock.now();
  await world.db.transact(async (tx) => {
    const backup = await lockClaimed(tx, id, claim);
    if (backup?.state !== 'pending') return;
    const next = isAppError(error, 'at_capacity') ? waiting(backup, now, error.message) : failedOnce(backup);
    if (next) {
      await saveBackup(tx, next);
      if (next.waiting && !backup.waiting) await tellOfBackup(tx, { ...op, now }, 'backup.waiting', next, next.waiting);
      return;
    }
    const failure = isAppError(error) ? error.message : 'The copy of the disk could not be kept.';
    await saveBackup(tx, { ...backup, waiting: undefined, state: 'error', failure });
    await tellOfBackup(tx, { ...op, now }, 'backup.failed', backup, { failure });
    await world.backUpLater(tx, id);
  });
}

/** Undefined where it has waited for long enough. */
function waiting(backup: Backup, now: Date, reason: string): Backup | undefined {
  const since = backup.waiting?.since ?? now;
  return elapsedMs(since, now) < MAX_BACKUP_WAITING_MS ? { ...backup, waiting: { since, reason } } : undefined;
}

/** Undefined where it has failed often enough. */
function failedOnce(backup: Backup): Backup | undefined {
  const attempts = backup.attempts + 1;
  return attempts < MAX_BACKUP_ATTEMPTS ? { ...backup, attempts, waiting: undefined } : undefined;
}

/** Removes the copy from the host, and what nobody wants any more from where backups are kept. */
async function tidy(world: ComputeWorld, op: Op, backup: Backup, claim: string): Promise<boolean> {
  const { machines, blobs, db } = world;
  const { id, state, snapshotId, blobKey } = backup;
  if (snapshotId !== undefined)
    await machines.removeSnapshot(steadfast(op), snapshotId).catch((error: unknown) => {
      if (!isAppError(error, 'not_found')) throw error;
    });
  const isUseless = state === 'error' || state === 'expired';
  // A server that is being restored from it still needs it.
  const isNeeded = isUseless && blobKey !== undefined && (await isBeingRestored(db, id));
  if (isUseless && blobKey !== undefined && !isNeeded) await blobs.remove(blobKey);
  await db.transact(async (tx) => {
    const left = await lockClaimed(tx, id, claim);
    if (!left) return;
    const keepsKey = !isUseless || isNeeded;
    await saveBackup(tx, { ...left, snapshotId: undefined, blobKey: keepsKey ? left.blobKey : undefined });
  });
  return !isNeeded;
}
