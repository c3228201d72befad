import type { AccountId, BackupId, ServerId, SnapshotId } from '../../../kernel/ids.ts';
import { DAY, HOUR } from '../../../kernel/time.ts';
import type { Limits } from '../../machines/index.ts';
import type { PlanId, RegionId } from '../catalogue.ts';

/** What was on a server's disk at one moment, from which new servers can begin. It outlives its server. */
export type Backup = {
  id: BackupId;
  accountId: AccountId;
  serverId: ServerId;
  /** What the server was called, and what a new one like it is. */
  label: string;
  plan: PlanId;
  region: RegionId;
  scheduled: boolean;
  state: BackupState;
  failure: string | undefined;
  /** How often it could not be made. */
  attempts: number;
  /** Since when it is pending for want of room, and for which; that is no attempt. */
  waiting: { since: Date; reason: string } | undefined;
  createdAt: Date;
  expiresAt: Date;
  endedAt: Date | undefined;
  /** The copy of the disk on the host, until it is exported. */
  snapshotId: SnapshotId | undefined;
  /** Under which name it is, or is being, kept. */
  blobKey: string | undefined;
  /** Of one that is whole. */
  content: BackupContent | undefined;
};

export type BackupState = 'pending' | 'available' | 'error' | 'expired';

/** What a machine must be given that begins with its disk, and by what its bytes are known again. */
export type BackupContent = {
  image: string;
  limits: Limits;
  /** What it filled of a disk, and what is kept. */
  diskBytes: number;
  bytes: number;
  sha256: Buffer;
};

/** How long one is kept. */
export const BACKUP_KEPT_MS = 7 * DAY;
/** How long it is still shown after that. */
export const EXPIRED_SHOWN_MS = DAY;
/** Backups that an account may have, without those that have expired. */
export const MAX_BACKUPS = 50;
/** How often it is tried to make one. */
export const MAX_BACKUP_ATTEMPTS = 4;

/** How long it may wait for room before it is in error. */
export const MAX_BACKUP_WAITING_MS = 2 * HOUR;

/** When a server is backed up by itself. */
export type BackupSchedule = {
  serverId: ServerId;
  everyHours: number;
  /** So many of those that it had made are kept, for no longer than any other. */
  keep: number;
  nextAt: Date;
  /** Why the last one was not made. */
  skipped: string | undefined;
};

export const SCHEDULE_BOUNDS = {
  everyHours: { least: 1, most: 168 },
  keep: { least: 1, most: 10 },
} as const;
