import { AppError, isAppError } from '../../kernel/errors.ts';
import type { AccountId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { DAY } from '../../kernel/time.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Kept } from './kept.ts';
import { pausedOf } from './store.ts';
import type { SandboxesWorld } from './world.ts';

/** What is paused costs nothing and takes of the host all the same: an account has so much of that. */
export const MAX_PAUSED_MEMORY_MB = 16_384;
export const MAX_PAUSED_DISK_GB = 100;
/** What nobody has woken for so long is ended. */
export const MAX_PAUSED_MS = 30 * DAY;
const RETRY_AFTER_SECONDS = 30;

/** Throws `at_capacity` where the host has no room for the memory of one more that is frozen. */
export async function checkHost({ machines }: SandboxesWorld, op: Op, { machineId }: Kept): Promise<void> {
  if (await machines.mayFreeze(op, machineId)) return;
  const full = 'The server is full of paused sandboxes; pause without memory, or try again later';
  throw new AppError('at_capacity', full, { retryAfterSeconds: RETRY_AFTER_SECONDS });
}

/** Throws `rate_limited` where the account would have more paused than its share. */
export async function checkShare(tx: Tx, { accountId, limits }: Kept, keepMemory: boolean): Promise<void> {
  const { memoryMb, diskGb } = await pausedOf(tx, accountId);
  if (keepMemory && memoryMb + limits.memoryMb > MAX_PAUSED_MEMORY_MB)
    throw beyondShare(`${MAX_PAUSED_MEMORY_MB} MB of memory; pause without memory, or destroy one first`);
  if (diskGb + limits.diskGb > MAX_PAUSED_DISK_GB) throw diskBeyondShare();
}

/** Throws `rate_limited` where timeouts have brought an account beyond its share: it makes nothing new then. */
export async function checkOverShare(tx: Tx, accountId: AccountId): Promise<void> {
  if ((await pausedOf(tx, accountId)).diskGb > MAX_PAUSED_DISK_GB) throw diskBeyondShare();
}

/** Whether one whose time is over can keep its processes. */
export async function keepsMemory(world: SandboxesWorld, db: Db, op: Op, kept: Kept): Promise<boolean> {
  const { memoryMb } = await pausedOf(db, kept.accountId);
  if (memoryMb + kept.limits.memoryMb > MAX_PAUSED_MEMORY_MB) return false;
  try {
    return await world.machines.mayFreeze(op, kept.machineId);
  } catch (error) {
    // Its machine is gone, and it is ended as soon as that is heard of.
    if (isAppError(error, 'not_found')) return true;
    throw error;
  }
}

const diskBeyondShare = (): AppError => beyondShare(`${MAX_PAUSED_DISK_GB} GB of disk; destroy one first`);
const beyondShare = (what: string): AppError =>
  new AppError('rate_limited', `The paused sandboxes of an account may have ${what}`, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
