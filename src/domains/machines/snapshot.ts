import { randomBytes } from 'node:crypto';
import { AppError } from '../../kernel/errors.ts';
import type { AccountId, MachineId, SnapshotId } from '../../kernel/ids.ts';
import type { CopyName, Limits } from './drivers/driver.ts';

/** A copy of a machine's disk at one moment, from which new machines can begin. It outlives its machine. */
export type Snapshot = {
  id: SnapshotId;
  accountId: AccountId;
  machineId: MachineId;
  name: string | undefined;
  /** The image that its machine was made from, and what that machine was given. */
  image: string;
  limits: Limits;
  /** What the driver knows it by: each taking has a name of its own, so that of two none touches the other's half. */
  copy: CopyName;
  /** Where it was made, and between which two starts of that host; the last bytes of it may still be in memory. */
  place: string;
  hostStart: string | undefined;
  /** What it fills of the host's disk. */
  bytes: number;
  /** The platform's own for a while: its account neither sees it nor may remove it. */
  reserved: boolean;
  createdAt: Date;
};

/** Where the next page of a list begins. */
export type SnapshotCursor = Pick<Snapshot, 'createdAt' | 'id'>;

export type SnapshotFilter = {
  name?: string | undefined;
  machineId?: MachineId | undefined;
  /** For the platform and its operator, who see those of all accounts. */
  accountId?: AccountId | undefined;
  limit: number;
  after?: SnapshotCursor | undefined;
};

export const MAX_SNAPSHOTS_PER_ACCOUNT = 100;
/** What all snapshots of an account may fill of the host's disk: they cost nothing. */
export const MAX_SNAPSHOT_GB_PER_ACCOUNT = 50;
const MAX_NAME_LENGTH = 128;

/** One that is to be made. */
export type NewSnapshot = Omit<Snapshot, 'bytes' | 'place' | 'hostStart'>;

const TAKING_BYTES = 8;

/** One that no other taking of the same snapshot has, or had. */
export const newCopyName = (id: SnapshotId): CopyName =>
  `${id}_${randomBytes(TAKING_BYTES).toString('hex')}` as CopyName;

export function checkSnapshotName(name: string | undefined): void {
  if (name !== undefined && (name === '' || name.length > MAX_NAME_LENGTH || /\p{Cc}/u.test(name)))
    throw new AppError('invalid', `A snapshot's name has 1 to ${MAX_NAME_LENGTH} characters.`);
}
