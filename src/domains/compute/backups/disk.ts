import { AppError, isAppError } from '../../../kernel/errors.ts';
import { idOf, parseId, uuidFrom, type ServerId, type SnapshotId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { sha256 } from '../../../platform/crypto.ts';
import type { Server } from '../server.ts';
import { forgetRestored } from '../store.ts';
import { steadfast, type ComputeWorld } from '../world.ts';
import { verified } from './sums.ts';
import { findBackup } from './store.ts';

/** Under which name the disk of a restored server stands on the host until its machine has a copy of it. */
const diskOf = (id: ServerId): SnapshotId => idOf('snapshot', uuidFrom(sha256(`restored disk of ${id}`)));

/** Such a copy is the platform's own, whoever has something done with the server. */
const ours = (op: Op): Op => ({ ...op, actor: { kind: 'system', name: 'backups' } });

/**
 * Puts the disk that a restored server begins with on the host: any number of times, it is fetched once. Throws
 * `conflict` where the backup is not what was kept.
 */
export async function prepareDisk(world: ComputeWorld, op: Op, server: Server): Promise<SnapshotId> {
  const id = diskOf(server.id);
  const { machines, db, blobs } = world;
  try {
    return (await machines.getSnapshot(ours(op), id)).id;
  } catch (error) {
    if (!isAppError(error, 'not_found')) throw error;
  }
  const backupId = parseId('backup', server.restoredFrom ?? '');
  const backup = backupId && (await findBackup(db, backupId));
  const kept = backup?.blobKey === undefined ? undefined : await blobs.get(backup.blobKey, op.signal);
  if (!backup?.content || !kept) throw new AppError('conflict', 'The backup is not there any more.');
  const { image, limits, diskBytes: expectedBytes } = backup.content;
  const wanted = { id, accountId: server.accountId, machineId: server.machineId, image, limits, expectedBytes };
  try {
    return (await machines.importSnapshot(ours(op), wanted, verified(kept, backup.content))).id;
  } finally {
    // It may not have been read at all.
    kept.destroy();
  }
}

/** Its machine has begun, or never will. Any number of times. */
export async function releaseDisk(world: ComputeWorld, op: Op, server: Server): Promise<void> {
  try {
    await world.machines.removeSnapshot(ours(steadfast(op)), diskOf(server.id));
  } catch (error) {
    if (!isAppError(error, 'not_found')) throw error;
  }
  await world.db.transact((tx) => forgetRestored(tx, server.id));
}
