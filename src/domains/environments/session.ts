import type { AccountId, Id, MachineId, SnapshotId } from '../../kernel/ids.ts';
import { cents, type Usd } from '../../kernel/money.ts';
import { elapsedMs, MINUTE } from '../../kernel/time.ts';
import type { Meter } from '../ledger/index.ts';
import type { Recipe, SampleId } from './sample.ts';

export type SessionId = Id<'session'>;

/** A machine in which somebody works on a sample, until it is closed or its time is over. */
export type Session = {
  id: SessionId;
  seq: bigint;
  accountId: AccountId;
  sample: SampleId;
  dataset: string;
  sampleId: string;
  state: SessionState;
  machineId: MachineId;
  machineRemoved: boolean;
  forkedFrom: SessionId | undefined;
  /** The disk it begins with, of a fork. */
  snapshotId: SnapshotId | undefined;
  requestedAt: Date;
  readyAt: Date | undefined;
  expiresAt: Date;
  idleMs: number | undefined;
  activeAt: Date;
  dueAt: Date;
  failures: number;
  endedAt: Date | undefined;
  /** Why it failed, or ended sooner than its time. */
  error: SessionError | undefined;
  meter: Meter;
  /** Movements of its money so far. */
  transfers: number;
  /** What it has cost so far; what is paid ahead is in it until the session is over. */
  spent: Usd;
};

export type SessionState = 'creating' | 'ready' | EndState;
export type EndState = 'closed' | 'terminated' | 'error';
export type SessionError = { code: string; message: string };

/** Where a session may go from where it is. One that never became ready ends as `error` or `closed`. */
const NEXT: Record<SessionState, readonly SessionState[]> = {
  creating: ['ready', 'closed', 'error'],
  ready: ['closed', 'terminated', 'error'],
  closed: [],
  terminated: [],
  error: [],
};

export const mayBecome = (from: SessionState, to: SessionState): boolean => NEXT[from].includes(to);
export const hasEnded = ({ state }: Pick<Session, 'state'>): boolean => NEXT[state].length === 0;

/** `until`: when it ended, where that was before it is noticed. */
export type Ending = { state: EndState; error?: SessionError | undefined; until?: Date | undefined };

export const ENDINGS = {
  closed: (): Ending => ({ state: 'closed' }),
  expired: (): Ending => ({ state: 'terminated' }),
  idle: (): Ending => ({
    state: 'terminated',
    error: { code: 'idle_timeout', message: 'Nothing was done in the session for its idle timeout' },
  }),
  outOfMoney: (state: 'terminated' | 'error'): Ending => ({
    state,
    error: { code: 'insufficient_balance', message: 'The balance does not cover the next minute of the session' },
  }),
  machineLost: (until: Date): Ending => ({
    state: 'error',
    until,
    error: { code: 'machine_lost', message: 'The machine of the session has ended' },
  }),
  notStarted: (code: string, message: string): Ending => ({ state: 'error', error: { code, message } }),
} as const;

export const MIN_TTL_MINUTES = 1;
export const MAX_TTL_MINUTES = 24 * 60;
export const DEFAULT_TTL_MINUTES = 30;
export const MAX_LIVING_SESSIONS = 100;
/** A session that has no machine by then never gets one. */
export const MAX_STARTING_MS = 5 * MINUTE;
/** How long a machine outlives its session if nobody removes it. */
export const LEASE_MARGIN_MS = 10 * MINUTE;

/** The price list: what is within the limits of a standard session, and what is larger. */
export const STANDARD = { vcpus: 2, memoryMb: 2_048, hourly: cents(15) } as const;
export const LARGE = { vcpus: 4, memoryMb: 8_192, hourly: cents(45) } as const;

export const hourlyOf = ({ vcpus, memoryMb }: Recipe['limits']): Usd =>
  vcpus <= STANDARD.vcpus && memoryMb <= STANDARD.memoryMb ? STANDARD.hourly : LARGE.hourly;

/** Milliseconds for which it has had its machine. */
export const durationMs = ({ readyAt, endedAt }: Session, now: Date): number =>
  readyAt ? Math.max(0, elapsedMs(readyAt, endedAt ?? now)) : 0;
