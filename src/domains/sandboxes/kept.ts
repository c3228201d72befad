import { after, elapsedMs } from '../../kernel/time.ts';
import type { Meter } from '../ledger/index.ts';
import type { EndReason, PauseReason, Sandbox, SandboxState } from './sandbox.ts';

/**
 * A sandbox as it is kept. Verbs lock its row, make of it the sandbox that it becomes, and save that: in one
 * transaction with the money and the fact. What its machine has to do for it is done after that, and is written down
 * as `moving` until it is done.
 */
export type Kept = Omit<Sandbox, 'state' | 'ready' | 'startedAt'> & {
  /** `starting` is nobody's sandbox yet. */
  state: 'starting' | SandboxState;
  moving: Moving | undefined;
  createdAt: Date;
  startedAt: Date | undefined;
  timeoutMs: number | undefined;
  pausedAt: Date | undefined;
  endedAt: Date | undefined;
  endReason: EndReason | undefined;
  machineRemoved: boolean;
  leaseUntil: Date;
  /** Its name in the price list. */
  size: string;
  meter: Meter;
  transfers: number;
};
export type Moving = 'pausing' | 'resuming';

/** What is not there before it is first saved. */
export type NewKept = Omit<Kept, 'seq'>;

export const shownOf = (kept: Kept): Sandbox => ({
  id: kept.id,
  code: kept.code,
  accountId: kept.accountId,
  machineId: kept.machineId,
  name: kept.name,
  origin: kept.origin,
  state: kept.state === 'starting' ? 'running' : kept.state,
  ready: kept.moving === undefined,
  keptMemory: kept.keptMemory,
  pausedBy: kept.pausedBy,
  template: kept.template,
  interpreter: kept.interpreter,
  limits: kept.limits,
  metadata: kept.metadata,
  env: kept.env,
  lifecycle: kept.lifecycle,
  network: kept.network,
  startedAt: kept.startedAt ?? kept.createdAt,
  endAt: kept.endAt,
  seq: kept.seq,
});

/** A run that begins now, for so long; without a time it has what it had left, or as much as at first. */
export function running(kept: Kept, meter: Meter, now: Date, timeoutMs: number | undefined): Kept {
  const resumed = kept.startedAt !== undefined;
  return {
    ...kept,
    state: 'running',
    moving: resumed ? 'resuming' : undefined,
    startedAt: kept.startedAt ?? now,
    timeoutMs: timeoutMs ?? kept.timeoutMs,
    endAt: timeoutMs === undefined ? carriedOn(kept, now) : after(now, timeoutMs),
    pausedAt: undefined,
    pausedBy: undefined,
    meter,
  };
}

function carriedOn({ endAt, pausedAt, timeoutMs = 0 }: Kept, now: Date): Date | undefined {
  if (!endAt) return undefined;
  const leftMs = pausedAt ? elapsedMs(pausedAt, endAt) : 0;
  return after(now, leftMs > 0 ? leftMs : timeoutMs);
}

export const paused = (kept: Kept, meter: Meter, at: Date, by: PauseReason, keptMemory: boolean): Kept => ({
  ...kept,
  state: 'paused',
  moving: 'pausing',
  keptMemory,
  pausedAt: at,
  pausedBy: by,
  meter,
});

/** Its variables may be secrets, and are of no more use. */
export const destroyed = (kept: Kept, meter: Meter, at: Date, reason: EndReason): Kept => ({
  ...kept,
  state: 'destroyed',
  moving: undefined,
  keptMemory: false,
  pausedAt: undefined,
  pausedBy: undefined,
  endedAt: at,
  endReason: reason,
  env: {},
  network: { ...kept.network, headers: {}, egressProxy: undefined },
  meter,
});
