import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Tck } from '../../../kernel/money.ts';
import { MAX_ESCROW, splitOf, TRANSITIONS } from './escrow.ts';

test('payout and tax are the amount, whatever it is', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: MAX_ESCROW }), (units) => {
      const { payout, tax } = splitOf(units as Tck);
      expect(payout + tax).toBe(units);
      expect(payout > 0n && tax >= 0n && tax * 100n <= units * 3n && (tax + 1n) * 100n > units * 3n).toBe(true);
    }),
  );
});

test('of 5 TCK the seller gets 4.85 and the vault 0.15; of half a TCK 0.485 and 0.015', () => {
  expect(splitOf(50_000n as Tck)).toEqual({ payout: 48_500n, tax: 1_500n });
  expect(splitOf(5_000n as Tck)).toEqual({ payout: 4_850n, tax: 150n });
});

test('nothing leads out of SETTLED or REFUNDED, and every other state is left in one way at the most by each event', () => {
  const from = Object.values(TRANSITIONS).map((transition) => transition.from as string);
  expect(from).not.toContain('SETTLED');
  expect(from).not.toContain('REFUNDED');
});
