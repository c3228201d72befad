/** Durations in milliseconds. */
export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Where a domain gets the time outside a request; only the platform layer reads the real clock. */
export type Clock = { now(): Date };

export const after = (from: Date, durationMs: number): Date => new Date(from.getTime() + durationMs);
export const elapsedMs = (from: Date, to: Date): number => to.getTime() - from.getTime();
