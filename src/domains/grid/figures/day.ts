import type { Tck } from '../../../kernel/money.ts';
import { after, DAY, MINUTE } from '../../../kernel/time.ts';

declare const dayName: unique symbol;

/** What happened before a time is all written down so long after it. */
export const LATE = 10 * MINUTE;

/** Days are those of UTC, by their names: `2026-03-18`. */
export type DayName = string & { readonly [dayName]: true };

/** From the beginning of its first day to the end of its last. */
export type Span = { first: DayName; last: DayName };

/** What happened on the grid on one day. Sandbox nodes only play: they are in `sandboxTrades` and nowhere else. */
export type DayFigures = {
  day: DayName;
  /** Nodes that there were at its end. */
  nodes: number;
  newNodes: number;
  activeNodes: number;
  /** Nodes that bought something for the first time. */
  firstTrades: number;
  sandboxTrades: number;
  /** Skills that were published. */
  skills: number;
  tasksCreated: number;
  tasksCompleted: number;
  escrows: number;
  /** What was locked away. */
  locked: Tck;
  settled: number;
  /** What was settled, and what of it the vault kept. */
  volume: Tck;
  tax: Tck;
  refunded: number;
  disputed: number;
};

const DAY_NAME_LENGTH = 'yyyy-mm-dd'.length;

export const dayOf = (at: Date): DayName => at.toISOString().slice(0, DAY_NAME_LENGTH) as DayName;
export const startOf = (day: DayName): Date => new Date(`${day}T00:00:00.000Z`);
export const endOf = (day: DayName): Date => after(startOf(day), DAY);
export const plusDays = (day: DayName, days: number): DayName => dayOf(after(startOf(day), days * DAY));

/** The times in a span: from the first, and before the second. */
export const timesOf = ({ first, last }: Span): { from: Date; to: Date } => ({ from: startOf(first), to: endOf(last) });

/** Its days, the first one first. */
export function daysOf({ first, last }: Span): DayName[] {
  const days: DayName[] = [];
  for (let day = first; day <= last; day = plusDays(day, 1)) days.push(day);
  return days;
}

/** How many days before today a period begins. */
const BACK = { today: 0, '7d': 7, '30d': 30, quarter: 90, year: 365 } as const;

export const ANALYTICS_PERIODS = ['today', '7d', '30d', 'quarter', 'year', 'all'] as const;
export const EXPORT_PERIODS = ['7d', '30d', 'quarter', 'year', 'all'] as const;
export type SpanName = (typeof ANALYTICS_PERIODS)[number];

/** The days of a period up to now; `all` begins on the day that is given. */
export function spanOf(period: SpanName, now: Date, beginning: DayName): Span {
  const last = dayOf(now);
  if (period !== 'all') return { first: plusDays(last, -BACK[period]), last };
  return { first: beginning < last ? beginning : last, last };
}
