import type { Clock } from '../kernel/time.ts';
import type { Database } from './db.ts';

/** The real time. Everything outside the platform layer gets its time from an `op` or a `Clock`. */
export const systemClock: Clock = { now: () => new Date() };

/** A clock that tests can move forward. The distance is kept in the database, so that every process has the same time. */
export type TestClock = Clock & {
  /** Takes over the distance that another process has set. */
  refresh(): Promise<void>;
  /** Moves the time forward. Time never goes back. */
  advanceBy(milliseconds: number): Promise<void>;
};

export async function openTestClock(db: Database): Promise<TestClock> {
  let aheadMs = 0;
  const clock: TestClock = {
    now: () => new Date(Date.now() + aheadMs),
    async refresh() {
      const [row] = await db.query<{ ahead_ms: bigint }>(`select ahead_ms from test_clock`);
      aheadMs = Number(row?.ahead_ms ?? 0n);
    },
    async advanceBy(milliseconds) {
      await db.query(`update test_clock set ahead_ms = ahead_ms + $1`, [Math.max(0, Math.round(milliseconds))]);
      await clock.refresh();
    },
  };
  await clock.refresh();
  return clock;
}

/** Measures a duration, which moving the platform's time does not change: answers the milliseconds since it was begun. */
export function stopwatch(): () => number {
  const begunAt = performance.now();
  return () => performance.now() - begunAt;
}
