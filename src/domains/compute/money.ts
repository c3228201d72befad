import { cents, type Usd } from '../../kernel/money.ts';
import { after, DAY, elapsedMs, HOUR } from '../../kernel/time.ts';
import type { Limits } from '../machines/index.ts';
import type { Offer } from './server.ts';

/** What is paid ahead at a time. */
export const PERIOD_MS = { hourly: HOUR, monthly: 30 * DAY } as const satisfies Record<Offer, number>;

const MIB_PER_GIB = 1_024;
const BASE_CENTS = 500;
const CENTS_PER_VCPU = 300;
const CENTS_PER_GIB = 200;
const CENTS_PER_DISK_STEP = 100;
const DISK_STEP_GB = 5;
const DISK_INCLUDED_GB = 10;

/** What 30 days of a compute instance cost: $5 for 1 CPU, 1 GB and 10 GB of disk, $3, $2 and, for 5 GB, $1 for more. */
export const monthlyPrice = ({ vcpus, memoryMb, diskGb }: Omit<Limits, 'pids'>): Usd =>
  cents(
    BASE_CENTS +
      CENTS_PER_VCPU * (vcpus - 1) +
      CENTS_PER_GIB * (Math.ceil(memoryMb / MIB_PER_GIB) - 1) +
      CENTS_PER_DISK_STEP * Math.ceil((diskGb - DISK_INCLUDED_GB) / DISK_STEP_GB),
  );

/**
 * What a server has paid. A period has one price, which never changes and is whole micro-dollars, and all that a
 * server has ever cost is that price times its periods: there is nothing to round.
 */
export type Meter = {
  price: Usd;
  periodMs: number;
  /** Periods paid since the beginning. */
  periods: number;
  /** Undefined where it costs nothing: before it is there, while it is suspended, and after its end. */
  paidUntil: Date | undefined;
};

export const newMeter = (offer: Offer, price: Usd): Meter => ({
  price,
  periodMs: PERIOD_MS[offer],
  periods: 0,
  paidUntil: undefined,
});

/** The first period of a time in which it is up. */
export const begin = (meter: Meter, now: Date): Meter => ({
  ...meter,
  periods: meter.periods + 1,
  paidUntil: after(now, meter.periodMs),
});

/** Pays on where the last period ended, however long ago that was. */
export const prepay = (meter: Meter, periods: number): Meter => ({
  ...meter,
  periods: meter.periods + periods,
  paidUntil: meter.paidUntil && after(meter.paidUntil, periods * meter.periodMs),
});

export const rest = (meter: Meter): Meter => ({ ...meter, paidUntil: undefined });

/** Periods after which the time up to `now`, and a little more, is paid. */
export const periodsDue = ({ paidUntil, periodMs }: Meter, now: Date): number =>
  !paidUntil || paidUntil > now ? 0 : Math.floor(elapsedMs(paidUntil, now) / periodMs) + 1;

/** Periods that had begun before `until` and are not paid: what is owed when it ends then. */
export const periodsBegun = ({ paidUntil, periodMs }: Meter, until: Date): number =>
  !paidUntil || paidUntil >= until ? 0 : Math.ceil(elapsedMs(paidUntil, until) / periodMs);

/** How many periods so much money pays. */
export const affordable = ({ price }: Meter, available: Usd): number =>
  available <= 0n ? 0 : Number(available / price);
