import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { usd } from '../../kernel/money.ts';
import { affordableOutput, costOf, exactPrice, isExactPrice, worstCase, type TokenPrices } from './price.ts';

const price = fc.bigInt({ min: 0n, max: 100_000_000n });
const prices: fc.Arbitrary<TokenPrices> = fc.record({
  input: price,
  cachedInput: price,
  cacheWrite: price,
  output: price,
});
const count = fc.integer({ min: 0, max: 2_000_000 });

describe('exact prices', () => {
  test.each([
    [0, 0n],
    [0.8, 800_000n],
    [4, 4_000_000n],
    [0.075, 75_000n],
    [0.000001, 1n],
    [99_999.999999, 99_999_999_999n],
  ])('%d dollars a million tokens are %d micro-dollars', (dollars, micros) => {
    expect(exactPrice(dollars)).toBe(micros);
  });

  test('any decimal with six places is read as what was written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 99_999 }), fc.integer({ min: 0, max: 999_999 }), (whole, fraction) => {
        const written = Number(`${whole}.${String(fraction).padStart(6, '0')}`);
        expect(exactPrice(written)).toBe(BigInt(whole) * 1_000_000n + BigInt(fraction));
      }),
    );
  });

  test('a price finer than a micro-dollar is refused, not rounded', () => {
    expect(isExactPrice(0.0000001)).toBe(false);
    expect(isExactPrice(-1)).toBe(false);
    expect(() => exactPrice(0.0000005)).toThrow();
  });
});

describe('cost', () => {
  const sonnet: TokenPrices = { input: 3_000_000n, cachedInput: 300_000n, cacheWrite: 3_750_000n, output: 15_000_000n };

  test('each sort of token has its price, and the sum is rounded up once', () => {
    const usage = { inputTokens: 1_000, cachedInputTokens: 600, cacheWriteTokens: 300, outputTokens: 50 };
    // 100 × 3 + 600 × 0.3 + 300 × 3.75 + 50 × 15 = 2 355 micro-dollars
    expect(costOf(sonnet, usage)).toBe(2_355n);
    expect(
      costOf({ ...sonnet, input: 1n }, { inputTokens: 1, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 0 }),
    ).toBe(1n);
  });

  test('the worst case is never less than the cost, whatever was cached', () => {
    fc.assert(
      fc.property(prices, count, count, count, count, (given, plain, cached, written, output) => {
        const usage = {
          inputTokens: plain + cached + written,
          cachedInputTokens: cached,
          cacheWriteTokens: written,
          outputTokens: output,
        };
        expect(worstCase(given, usage.inputTokens, output)).toBeGreaterThanOrEqual(costOf(given, usage));
      }),
    );
  });

  test('affordable output is the most that fits', () => {
    fc.assert(
      fc.property(prices, fc.bigInt({ min: 0n, max: 1_000_000_000n }), count, count, (given, amount, input, wanted) => {
        const fits = affordableOutput(given, usd(amount), input, wanted);
        if (fits >= 0) expect(worstCase(given, input, fits)).toBeLessThanOrEqual(amount);
        if (fits < wanted) expect(worstCase(given, input, fits + 1)).toBeGreaterThan(amount);
      }),
    );
  });
});
