import { AppError } from '../../../kernel/errors.ts';
import { idOf, uuidFrom, type BackupId, type SnapshotId } from '../../../kernel/ids.ts';
import { newId, type AccountOp, type Op } from '../../../kernel/op.ts';
import { after } from '../../../kernel/time.ts';
import { sha256 } from '../../../platform/crypto.ts';
import type { Tx } from '../../../platform/db.ts';
import { deployServers, type Deployed } from '../deploy.ts';
import { requireActive } from '../move.ts';
import { lockOwn, ownServer } from '../policy.ts';
import type { Server } from '../server.ts';
import type { ComputeWorld } from '../world.ts';
import { BACKUP_KEPT_MS, EXPIRED_SHOWN_MS, MAX_BACKUPS, type Backup } from './backup.ts';
import { tellOfBackup } from './facts.ts';
import { lockOwnBackup, requireAvailable } from './policy.ts';
import { backupsOf, countBackups, findBackup, insertBackup, pendingBackupOf, saveBackup } from './store.ts';

/**
 * Has a server backed up as it is now. Throws `conflict` unless it is up, or while another backup of it is being made,
 * `forbidden` where the account has as many as it may.
 */
export async function backUp(world: ComputeWorld, op: AccountOp, reference: string): Promise<Backup> {
  const found = await ownServer(world.db, op, 'hourly', reference);
  const id = newId(op, 'backup');
  return await world.db.transact(async (tx) => {
    const server = await lockOwn(tx, found);
    const earlier = op.seed && (await findBackup(tx, id));
    return earlier ?? (await request(world, tx, op, { id, server, scheduled: false }));
  });
}

/** Row, fact and job; the server is locked. */
export async function request(
  world: ComputeWorld,
  tx: Tx,
  op: Op,
  { id, server, scheduled }: { id: BackupId; server: Server; scheduled: boolean },
): Promise<Backup> {
  requireActive(server);
  const { plan, region } = server;
  if (!plan || !region) throw new AppError('conflict', 'Only servers have backups.');
  if (await pendingBackupOf(tx, server.id))
    throw new AppError('conflict', 'A backup of this server is being made already.', { retryAfterSeconds: 10 });
  if ((await countBackups(tx, server.accountId)) >= MAX_BACKUPS)
    throw new AppError('forbidden', `Backup limit reached: an account may have ${MAX_BACKUPS}. Delete one first.`);
  const now = world.clock.now();
  const backup: Backup = {
    id,
    accountId: server.accountId,
    serverId: server.id,
    label: server.name,
    plan,
    region,
    scheduled,
    state: 'pending',
    failure: undefined,
    attempts: 0,
    waiting: undefined,
    createdAt: now,
    expiresAt: after(now, BACKUP_KEPT_MS),
    endedAt: undefined,
    snapshotId: snapshotOf(id),
    blobKey: undefined,
    content: undefined,
  };
  await insertBackup(tx, backup);
  await tellOfBackup(tx, { ...op, now }, 'backup.requested', backup, { scheduled });
  await world.backUpLater(tx, id);
  return backup;
}

/** However often it is begun to make a backup, it is of one moment. */
const snapshotOf = (id: BackupId): SnapshotId => idOf('snapshot', uuidFrom(sha256(`disk of backup ${id}`)));

export const listBackups = ({ db, clock }: ComputeWorld, op: AccountOp): Promise<Backup[]> =>
  backupsOf(db, op.actor.accountId, after(clock.now(), -EXPIRED_SHOWN_MS));

/** Its bytes go after that. Throws `conflict` where it has expired before. */
export async function deleteBackup(world: ComputeWorld, op: AccountOp, reference: string): Promise<void> {
  const now = world.clock.now();
  await world.db.transact(async (tx) => {
    const backup = await lockOwnBackup(tx, op, reference);
    if (backup.state === 'expired') throw new AppError('conflict', 'This backup has expired already.');
    await expireWithin(world, tx, { ...op, now }, backup);
  });
}

/** State and fact; the backup is locked. */
export async function expireWithin(world: ComputeWorld, tx: Tx, op: Op, backup: Backup): Promise<void> {
  await saveBackup(tx, { ...backup, state: 'expired', waiting: undefined, endedAt: op.now });
  await tellOfBackup(tx, op, 'backup.expired', backup, { from: backup.state });
  await world.backUpLater(tx, backup.id);
}

/**
 * A new server that begins with what was on the disk of another, with the same plan and in the same region. Throws what
 * a deployment does, and `conflict` where the backup is not available.
 */
export async function restore(
  world: ComputeWorld,
  op: AccountOp,
  reference: string,
  { sshKey, name }: { sshKey?: string | undefined; name?: string | undefined },
): Promise<Deployed> {
  const { id, label, plan, region } = await world.db.transact((tx) => lockOwnBackup(tx, op, reference));
  const order = { name: name ?? label, planId: plan, regionId: region, sshKey, restoredFrom: id };
  // Under the lock nobody has it removed before the server that needs it is there.
  const [deployed] = await deployServers(world, op, [order], async (tx) =>
    requireAvailable(await lockOwnBackup(tx, op, id)),
  );
  if (!deployed) throw new AppError('internal', 'A restored server was not deployed.');
  return deployed;
}
