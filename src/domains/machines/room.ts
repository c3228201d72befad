import { AppError } from '../../kernel/errors.ts';
import type { Tx } from '../../platform/db.ts';
import type { HostRoom, Room } from './drivers/driver.ts';
import { LEAST_MEMORY_MB } from './machine.ts';
import { lockRoom, roomTaken } from './store.ts';

/** Machines are not all busy at once: their limits together may be this many times what there is. */
const MEMORY_OVERCOMMIT = 3;
const DISK_OVERCOMMIT = 3;
const MAX_MACHINES = 1_000;
/** Of its memory, which a frozen machine really holds, so much may be held by all that are frozen. */
const FROZEN_SHARE = 0.5;
/** Of the file system that the disks are on so much stays free, for the database above all. */
const RESERVE_SHARE = 0.05;
const LEAST_RESERVE_GB = 0.5;
const MOST_RESERVE_GB = 8;
/** When so little of the reserve is left, machines that go on filling it are held back. */
const LOW_SHARE = 0.5;
const RETRY_AFTER_SECONDS = 30;

/** Machines that a host with so much memory can have at the most. */
export const mostMachines = (memoryMb: number): number =>
  Math.min(MAX_MACHINES, Math.ceil((memoryMb * MEMORY_OVERCOMMIT) / LEAST_MEMORY_MB));

/** What is to be had for one more, beside its limits. */
export type Demand = Room & {
  machines?: number;
  /** What is written to the disk at once. */
  copiedGb?: number;
  /** What it holds by now as a frozen one, and will not when it runs. */
  frozenMb?: number;
};

const reserveGb = ({ diskSizeGb }: HostRoom): number =>
  Math.min(MOST_RESERVE_GB, Math.max(LEAST_RESERVE_GB, diskSizeGb * RESERVE_SHARE));

const isAboveReserve = (room: HostRoom): boolean => room.freeDiskGb > reserveGb(room);

/** How the disk stands: `short` takes nothing new, and in `low` what fills it has to stop. */
export function diskState(room: HostRoom): 'ample' | 'short' | 'low' {
  if (isAboveReserve(room)) return 'ample';
  return room.freeDiskGb > reserveGb(room) * LOW_SHARE ? 'short' : 'low';
}

/** Throws `at_capacity` where a place has no room for more. Nobody else decides about it until the transaction ends. */
export async function checkRoom(tx: Tx, place: string, room: HostRoom, more: Demand): Promise<void> {
  await lockRoom(tx, place);
  const taken = await roomTaken(tx, place);
  const freeGb = room.freeDiskGb - reserveGb(room);
  const memoryMb = (room.memoryMb - taken.frozenMb + (more.frozenMb ?? 0)) * MEMORY_OVERCOMMIT;
  const fits =
    isAboveReserve(room) &&
    taken.machines + (more.machines ?? 0) <= MAX_MACHINES &&
    (more.memoryMb === 0 || taken.memoryMb + more.memoryMb <= memoryMb) &&
    (more.diskGb === 0 || taken.diskGb + more.diskGb <= (room.diskGb - reserveGb(room)) * DISK_OVERCOMMIT) &&
    taken.copiedGb + (more.copiedGb ?? 0) <= freeGb;
  if (!fits) throw full();
}

/** Throws `at_capacity` where the disk has nothing left above the reserve. */
export function checkReserve(room: HostRoom): void {
  if (!isAboveReserve(room)) throw full();
}

/** Whether one more that holds so much may be frozen. */
export async function hasRoomFrozen(tx: Tx, place: string, room: HostRoom, holdsMb: number): Promise<boolean> {
  const { frozenMb } = await roomTaken(tx, place);
  return frozenMb + holdsMb <= room.memoryMb * FROZEN_SHARE;
}

const full = (): AppError =>
  new AppError('at_capacity', 'Server at capacity — try again later', { retryAfterSeconds: RETRY_AFTER_SECONDS });
