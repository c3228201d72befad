import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { usd } from '../../kernel/money.ts';
import { affordableSeconds, chargedCents, costOf, inferenceLeft, priceOfSeconds, secondsBegun } from './cost.ts';

const budget = fc.integer({ min: 10, max: 10_000 });
const inference = fc.bigInt({ min: 0n, max: 200_000_000n }).map(usd);
const seconds = fc.integer({ min: 0, max: 3_600 });

describe('what a task costs', () => {
  test('the product’s own example: 320000 and 50000 microcents make 36 + 6 = 42 cents', () => {
    expect(chargedCents(usd(320_000n))).toBe(36);
    expect(chargedCents(usd(50_000n))).toBe(6);
  });

  test('a machine hour is 15 cents, and a second begun is a second', () => {
    expect(priceOfSeconds(3_600)).toBe(150_000n);
    expect(priceOfSeconds(1)).toBe(42n);
    expect([0, 1, 1_000, 1_001].map(secondsBegun)).toEqual([0, 1, 1, 2]);
  });

  test('what was not used costs nothing', () => {
    expect(costOf(100, usd(0n), 0).spentCents).toBe(0);
    expect(costOf(100, usd(1n), 0).spentCents).toBe(1);
  });

  test('no task costs more than its budget or less than its parts', () => {
    fc.assert(
      fc.property(budget, inference, seconds, (cents, spent, used) => {
        const cost = costOf(cents, spent, used);
        expect(cost.spentCents).toBeLessThanOrEqual(cents);
        const exact = Number(spent + cost.compute) * 1.1;
        if (cost.spentCents < cents) expect(cost.spentCents * 10_000).toBeGreaterThanOrEqual(exact);
        expect(cost.spentCents * 10_000).toBeLessThan(exact + 20_000);
      }),
    );
  });

  test('a call that stays within what is left keeps the task within its budget, one micro-dollar more would not', () => {
    fc.assert(
      fc.property(budget, inference, seconds, (cents, spent, used) => {
        const left = inferenceLeft(cents, spent, used);
        const total = (more: bigint) => chargedCents(usd(spent + more)) + chargedCents(priceOfSeconds(used));
        if (left > 0n) {
          expect(total(left)).toBeLessThanOrEqual(cents);
          expect(total(left + 1n)).toBeGreaterThan(cents);
        }
      }),
    );
  });

  test('affordable machine time is the most that the budget pays for', () => {
    fc.assert(
      fc.property(budget, inference, (cents, spent) => {
        const most = affordableSeconds(cents, spent);
        if (chargedCents(spent) <= cents)
          expect(chargedCents(spent) + chargedCents(priceOfSeconds(most))).toBeLessThanOrEqual(cents);
        if (chargedCents(spent) < cents)
          expect(chargedCents(spent) + chargedCents(priceOfSeconds(most + 1))).toBeGreaterThan(cents);
      }),
    );
  });
});
