import { assert } from '../../kernel/errors.ts';
import { mulDivCeil, usd, type Usd } from '../../kernel/money.ts';

/** Micro-dollars for a million tokens of each sort. */
export type TokenPrices = {
  input: bigint;
  /** Input that the provider had in its cache. */
  cachedInput: bigint;
  /** Input that the provider put into its cache. */
  cacheWrite: bigint;
  output: bigint;
};

/** Tokens of one call, as the provider counted them. `inputTokens` contains the cached and the cache-written ones. */
export type TokenUsage = {
  inputTokens: number;
  cachedInputTokens: number;
  cacheWriteTokens: number;
  outputTokens: number;
};

export const NO_USAGE: TokenUsage = { inputTokens: 0, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 0 };

const MILLION = 1_000_000n;
/** Decimal places of a price in dollars: a micro-dollar for a million tokens is the finest there is. */
const PRICE_SCALE = 6;
const PRICE = new RegExp(`^(\\d+)(?:\\.(\\d{1,${PRICE_SCALE}}))?$`);

/** Whether a price can be held exactly. */
export const isExactPrice = (dollarsPerMillion: number): boolean => PRICE.test(String(dollarsPerMillion));

/**
 * Dollars as a catalogue writes them, in micro-dollars. A JavaScript number prints as the shortest decimal that reads
 * back as itself, which is the decimal the catalogue holds: nothing is rounded.
 */
export function exactPrice(dollarsPerMillion: number): bigint {
  const [, whole = '', fraction = ''] = PRICE.exec(String(dollarsPerMillion)) ?? [];
  assert(whole !== '', `a price must be a decimal with at most ${PRICE_SCALE} places: ${dollarsPerMillion}`);
  return BigInt(whole + fraction.padEnd(PRICE_SCALE, '0'));
}

/** What a call costs at list price, rounded up once to the micro-dollar. */
export function costOf(prices: TokenPrices, usage: TokenUsage): Usd {
  const plainInput = usage.inputTokens - usage.cachedInputTokens - usage.cacheWriteTokens;
  const total =
    BigInt(plainInput) * prices.input +
    BigInt(usage.cachedInputTokens) * prices.cachedInput +
    BigInt(usage.cacheWriteTokens) * prices.cacheWrite +
    BigInt(usage.outputTokens) * prices.output;
  return usd(mulDivCeil(total, 1n, MILLION));
}

const dearestInput = (prices: TokenPrices): bigint =>
  [prices.input, prices.cachedInput, prices.cacheWrite].reduce((dearest, price) => (price > dearest ? price : dearest));

/** What a call can cost at the most, whatever the provider's cache does. */
export function worstCase(prices: TokenPrices, inputTokensUpperBound: number, maxOutputTokens: number): Usd {
  const total = BigInt(inputTokensUpperBound) * dearestInput(prices) + BigInt(maxOutputTokens) * prices.output;
  return usd(mulDivCeil(total, 1n, MILLION));
}

/** The most output tokens, up to `wanted`, with which `worstCase` stays within an amount; negative where the input alone is too dear. */
export function affordableOutput(
  prices: TokenPrices,
  amount: Usd,
  inputTokensUpperBound: number,
  wanted: number,
): number {
  const left = amount * MILLION - BigInt(inputTokensUpperBound) * dearestInput(prices);
  if (left < 0n) return -1;
  if (prices.output === 0n) return wanted;
  const tokens = left / prices.output;
  return tokens < BigInt(wanted) ? Number(tokens) : wanted;
}
