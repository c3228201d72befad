import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cents, usd, type Usd } from '../../kernel/money.ts';
import { after, HOUR, MINUTE, SECOND } from '../../kernel/time.ts';
import {
  affordablePeriods,
  begin,
  newMeter,
  paidUntil,
  PERIOD_MS,
  periodsDue,
  prepay,
  priceOf,
  settle,
  type Meter,
} from './meter.ts';

const T0 = new Date('2026-03-13T12:00:00.000Z');
const HOURLY = cents(5);

describe('a price', () => {
  test.each([
    [0, 0n],
    [1, 14n], // one second begun: 13.9 micro-dollars
    [SECOND, 14n],
    [SECOND + 1, 28n],
    [MINUTE, 834n],
    [2 * MINUTE, 1_667n],
    [HOUR, 50_000n],
  ])('of %d ms is %d micro-dollars', (ms, price) => expect(priceOf(HOURLY, ms)).toBe(price));
});

describe('a meter', () => {
  test('has its first minute paid when it begins, and gives back what was not used', () => {
    const begun = begin(newMeter(HOURLY), T0);
    expect(begun.owed).toBe(834n);
    expect(paidUntil(begun.meter)).toEqual(after(T0, MINUTE));
    const ended = settle(begun.meter, after(T0, 17_500));
    expect(ended.owed).toBe(usd(priceOf(HOURLY, 18_000) - 834n));
    expect(ended.meter).toMatchObject({ usedMs: 17_500, paidMs: 17_500, runningSince: undefined });
  });

  test('is due when what is paid is over, and for as many periods as were missed', () => {
    const { meter } = begin(newMeter(HOURLY), T0);
    expect([0, 59_999, 60_000, 119_999, 120_000, HOUR].map((ms) => periodsDue(meter, after(T0, ms)))).toEqual([
      0, 0, 1, 1, 2, 60,
    ]);
    const paid = prepay(meter, 60);
    expect(paid.owed).toBe(usd(priceOf(HOURLY, HOUR + MINUTE) - 834n));
    expect(paidUntil(paid.meter)).toEqual(after(T0, HOUR + MINUTE));
  });

  test('owes what it used past what it had paid', () => {
    const { meter } = begin(newMeter(HOURLY), T0);
    expect(settle(meter, after(T0, 90 * SECOND)).owed).toBe(usd(priceOf(HOURLY, 90 * SECOND) - 834n));
  });

  test('that ended before it began has used nothing', () => {
    const { meter } = begin(newMeter(HOURLY), T0);
    expect(settle(meter, after(T0, -5_000)).owed).toBe(-834n);
  });

  test('knows how many periods so much money pays', () => {
    const { meter } = begin(newMeter(HOURLY), T0);
    expect([0n, 832n, 833n, 1_665n, 1_666n, 2_500n].map((money) => affordablePeriods(meter, usd(money)))).toEqual([
      0, 0, 1, 1, 2, 3,
    ]);
  });

  const anyRun = fc.record({ ranMs: fc.integer({ min: 0, max: 10 * MINUTE }), pausedMs: fc.nat({ max: HOUR }) });
  const anyPrice = fc.constantFrom(cents(5), cents(15), cents(45), usd(7n), usd(3_599n));

  test('has in the end paid for all that it used in one piece, however it was charged and paused', () => {
    fc.assert(
      fc.property(anyPrice, fc.array(anyRun, { maxLength: 20 }), (hourly, runs) => {
        let [meter, paid, now] = [newMeter(hourly), 0n, T0] as [Meter, bigint, Date];
        const take = (next: { meter: Meter; owed: Usd }) => ([meter, paid] = [next.meter, paid + next.owed]);
        for (const { ranMs, pausedMs } of runs) {
          take(begin(meter, now));
          for (let at = 0; at <= ranMs; at += PERIOD_MS) take(prepay(meter, periodsDue(meter, after(now, at))));
          expect(paid).toBeGreaterThanOrEqual(priceOf(hourly, meter.usedMs + ranMs));
          take(settle(meter, after(now, ranMs)));
          now = after(now, ranMs + pausedMs);
        }
        const usedMs = runs.reduce((sum, { ranMs }) => sum + ranMs, 0);
        expect(paid).toBe(priceOf(hourly, usedMs));
      }),
    );
  });

  test('affords exactly the periods that the money covers', () => {
    fc.assert(
      fc.property(
        anyPrice,
        fc.nat({ max: HOUR }),
        fc.bigInt({ min: 0n, max: 10_000_000n }),
        (hourly, paidMs, money) => {
          const meter = { ...newMeter(hourly), paidMs };
          const periods = affordablePeriods(meter, usd(money));
          expect(prepay(meter, periods).owed).toBeLessThanOrEqual(money);
          expect(prepay(meter, periods + 1).owed).toBeGreaterThan(money);
        },
      ),
    );
  });
});
