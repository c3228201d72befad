import ipaddr from 'ipaddr.js';
import { AppError } from '../../kernel/errors.ts';
import type { AccountId, MachineId, SnapshotId } from '../../kernel/ids.ts';
import { DAY, SECOND } from '../../kernel/time.ts';
import type { Limits, MachineSpec, NetworkMode, Standing, Tier } from './drivers/driver.ts';
import { BUILDER } from './images/image.ts';
import { driverRulesOf, type EgressRules } from './rules.ts';

export type MachineState = 'creating' | 'running' | 'paused' | 'stopped' | 'pooled' | 'destroying' | 'destroyed';

/** Why a machine is no more. */
export type EndReason =
  | 'requested'
  | 'lease_expired'
  | 'failed_to_start'
  | 'abandoned' // whoever was creating it died
  | 'lost' // it ended by itself or with its host
  | 'surplus'; // it waited in the pool and is not wanted there any more

/** What is being done with a machine, by one process at a time. Its state changes when that is done. */
export type Undertaking =
  | 'pausing'
  | 'resuming'
  | 'stopping'
  | 'booting'
  | 'snapshotting'
  | 'ruling'
  | 'settling'
  | 'holding back';

/** What a machine has used in the times in which it was up before. */
export type UsedBefore = { cpuSeconds: number; networkReceivedBytes: number; networkSentBytes: number };

/** An isolated Linux computer: whose it is, what it may use, and until when it may live. */
export type Machine = {
  id: MachineId;
  accountId: AccountId;
  /** What it serves, e.g. `task:0198…`; for people who look at the list. */
  purpose: string;
  place: string;
  driver: string;
  tier: Tier;
  runtime: string;
  state: MachineState;
  stateAt: Date;
  image: string;
  limits: Limits;
  network: NetworkMode;
  rules: EgressRules;
  /** What its disk began as a copy of. */
  snapshotId: SnapshotId | undefined;
  /** Of a machine that stands for long. */
  standing: Standing | undefined;
  /** Not enforced while it is paused or stopped: `leaseLeftMs` is what it comes back with. */
  leaseUntil: Date;
  leaseLeftMs: number | undefined;
  createdAt: Date;
  startedAt: Date | undefined;
  /** Milliseconds for which it ran before `runningSince`, without those in which it was paused or stopped. */
  ranMs: number;
  /** Undefined where it does not run. */
  runningSince: Date | undefined;
  usedBefore: UsedBefore;
  endedAt: Date | undefined;
  endReason: EndReason | undefined;
  cpuSeconds: number | undefined;
  /** What its frozen processes hold, where it is paused and that is known. */
  frozenMb: number | undefined;
  /** It is paused because the disk of its host ran short. */
  heldBack: boolean;
};

/** States from which each state may be entered at its end. */
export const MAY_BECOME = {
  destroying: ['creating', 'running', 'paused', 'stopped', 'pooled'],
  destroyed: ['destroying'],
} as const satisfies Partial<Record<MachineState, readonly MachineState[]>>;

const UNFIT: Record<MachineState, string> = {
  creating: 'The machine is still being created.',
  running: 'The machine is running.',
  paused: 'The machine is paused.',
  stopped: 'The machine is stopped.',
  pooled: 'The machine is in the pool.',
  destroying: 'This machine has ended.',
  destroyed: 'This machine has ended.',
};

/** Why a machine in this state is not fit for what needs another. */
export const unfit = (state: MachineState): string => UNFIT[state];

export type LimitsRequest = { vcpus: number; memoryMb: number; diskGb: number; pids?: number };

export const LEAST_MEMORY_MB = 64;
/** The least and the most that one machine can be given. */
const BOUNDS = {
  vcpus: { least: 0.1, most: 64 },
  memoryMb: { least: LEAST_MEMORY_MB, most: 1_048_576 },
  diskGb: { least: 0.05, most: 1_000 },
  pids: { least: 16, most: 65_536 },
} as const satisfies Record<keyof Limits, { least: number; most: number }>;
const PIDS_FOR_EACH_GIB = 1_024;
const LEAST_DEFAULT_PIDS = 512;
const MOST_DEFAULT_PIDS = 4_096;
const MIB_IN_GIB = 1_024;
export const MAX_LEASE_MS = 90 * DAY;
/** Of a machine that stands until its owner's domain ends it: an outage, however long, must not take its disk. */
export const STANDING_LEASE_MS = 3_650 * DAY;
/** A driver that has not started a machine from its disk in this time never will. */
export const BOOT_TIMEOUT_MS = 30 * SECOND;
const MAX_PURPOSE_LENGTH = 200;

/** The limits of a machine. Throws `invalid` where one is out of bounds. */
export function limitsOf(request: LimitsRequest): Limits {
  const limits = { ...request, pids: request.pids ?? defaultPids(request.memoryMb) };
  for (const [name, { least, most }] of Object.entries(BOUNDS)) {
    const value = limits[name as keyof Limits];
    if (!(value >= least && value <= most)) throw new AppError('invalid', `${name} must be from ${least} to ${most}`);
  }
  return limits;
}

const defaultPids = (memoryMb: number): number =>
  Math.min(MOST_DEFAULT_PIDS, Math.max(LEAST_DEFAULT_PIDS, Math.round((memoryMb * PIDS_FOR_EACH_GIB) / MIB_IN_GIB)));

export function checkLease(leaseMs: number, standing?: Standing): void {
  if (!(leaseMs > 0 && leaseMs <= (standing ? STANDING_LEASE_MS : MAX_LEASE_MS)))
    throw new AppError('invalid', 'A lease must end within 90 days.');
}

const HOSTNAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export function checkStanding({ hostname, address }: Standing): void {
  if (!HOSTNAME.test(hostname)) throw new AppError('invalid', 'A host name has letters, digits and hyphens.');
  if (address !== undefined && !ipaddr.IPv4.isValidFourPartDecimal(address))
    throw new AppError('invalid', 'An address is one of IPv4.');
}

export function checkPurpose(purpose: string): void {
  if (purpose.length === 0 || purpose.length > MAX_PURPOSE_LENGTH)
    throw new AppError('invalid', 'A purpose must be named.');
}

/** Milliseconds for which a machine ran, without those in which it was paused or stopped. */
export const runningMs = (machine: Machine, until: Date): number =>
  machine.ranMs +
  (machine.runningSince === undefined ? 0 : Math.max(0, until.getTime() - machine.runningSince.getTime()));

/** What a driver needs to know to make the machine, or to start it again from its disk. */
export const specOf = ({ id, image, limits, network, rules, standing }: Machine): MachineSpec => ({
  id,
  image,
  limits,
  network,
  rules: driverRulesOf(rules),
  standing,
  profile: image === BUILDER ? 'builder' : 'tenant',
});
