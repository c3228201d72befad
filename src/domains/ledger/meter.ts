import { mulDivCeil, usd, type Usd } from '../../kernel/money.ts';
import { after, elapsedMs, MINUTE, SECOND } from '../../kernel/time.ts';

/** What is paid ahead at a time. */
export const PERIOD_MS = MINUTE;
const SECONDS_PER_HOUR = 3_600n;

/**
 * What a thing that is paid by the second has used and paid over its whole life. Money is always the difference of two totals, each rounded up
 * once, so that however often it is charged, paused and given back, it has paid for the seconds begun and no more.
 */
export type Meter = {
  hourly: Usd;
  /** Before `runningSince`. */
  usedMs: number;
  /** Since the beginning. */
  paidMs: number;
  runningSince: Date | undefined;
};

export const newMeter = (hourly: Usd): Meter => ({ hourly, usedMs: 0, paidMs: 0, runningSince: undefined });

/** What so much time costs in total, by the second begun. */
export const priceOf = (hourly: Usd, milliseconds: number): Usd =>
  usd(mulDivCeil(BigInt(Math.ceil(milliseconds / SECOND)), hourly, SECONDS_PER_HOUR));

export const paidUntil = ({ runningSince, usedMs, paidMs }: Meter): Date | undefined =>
  runningSince && after(runningSince, paidMs - usedMs);

/** Whole periods after which the time up to `now` and a little more is paid. */
export const periodsDue = (meter: Meter, now: Date): number => {
  const until = paidUntil(meter);
  return !until || until > now ? 0 : Math.floor(elapsedMs(until, now) / PERIOD_MS) + 1;
};

/** `owed` is what this costs, or gives back where it is negative. */
export type Step = { meter: Meter; owed: Usd };

const step = (before: Meter, meter: Meter): Step => ({
  meter,
  owed: usd(priceOf(meter.hourly, meter.paidMs) - priceOf(before.hourly, before.paidMs)),
});

/** Pays ahead. */
export const prepay = (meter: Meter, periods: number): Step =>
  step(meter, { ...meter, paidMs: meter.paidMs + periods * PERIOD_MS });

/** The first period of a run that begins now. */
export const begin = (meter: Meter, now: Date): Step => prepay({ ...meter, runningSince: now }, 1);

/** Ends a run: what was used is what is paid. */
export function settle(meter: Meter, until: Date): Step {
  const ranMs = meter.runningSince ? Math.max(0, elapsedMs(meter.runningSince, until)) : 0;
  const usedMs = meter.usedMs + ranMs;
  return step(meter, { ...meter, usedMs, paidMs: usedMs, runningSince: undefined });
}

/** How many periods so much money pays ahead. */
export function affordablePeriods(meter: Meter, available: Usd): number {
  const total = priceOf(meter.hourly, meter.paidMs) + available;
  const seconds = Number((total * SECONDS_PER_HOUR) / meter.hourly);
  return Math.max(0, Math.floor((seconds * SECOND - meter.paidMs) / PERIOD_MS));
}
