import { AppError } from '../../kernel/errors.ts';
import type { Tx } from '../../platform/db.ts';
import type { Room } from './drivers/driver.ts';
import { lockRoom, roomTaken } from './store.ts';

/** Machines are not all busy at once: their limits together may be this many times what there is. */
const MEMORY_OVERCOMMIT = 3;
const DISK_OVERCOMMIT = 4;
export const MAX_MACHINES = 1_000;
const RETRY_AFTER_SECONDS = 30;

/** Throws `at_capacity` where a place has no room for more. Nobody else decides about it until the transaction ends. */
export async function checkRoom(tx: Tx, place: string, room: Room, more: Room & { machines?: number }): Promise<void> {
  await lockRoom(tx, place);
  const taken = await roomTaken(tx, place);
  const fits =
    taken.machines + (more.machines ?? 0) <= MAX_MACHINES &&
    taken.memoryMb + more.memoryMb <= room.memoryMb * MEMORY_OVERCOMMIT &&
    taken.diskGb + more.diskGb <= room.diskGb * DISK_OVERCOMMIT;
  if (fits) return;
  throw new AppError('at_capacity', 'Server at capacity — try again later', { retryAfterSeconds: RETRY_AFTER_SECONDS });
}
