declare const currency: unique symbol;

/** An amount in a currency's smallest unit. Always an integer, never a `number`. */
export type Money<C extends Currency = Currency> = bigint & { readonly [currency]: C };
/** Micro-dollars: 1 USD = 1 000 000. */
export type Usd = Money<'USD'>;
/** Ten-thousandths of a TCK. */
export type Tck = Money<'TCK'>;
export type Currency = 'USD' | 'TCK';

/** Digits after the decimal point of each currency's smallest unit. */
export const CURRENCY_SCALE = { USD: 6, TCK: 4 } as const satisfies Record<Currency, number>;
export const MICROS_PER_CENT = 10_000n;
export const BASIS_POINTS = 10_000n;

export const usd = (micros: bigint): Usd => micros as Usd;
export const tck = (tenThousandths: bigint): Tck => tenThousandths as Tck;
export const cents = (amount: number | bigint): Usd => usd(BigInt(amount) * MICROS_PER_CENT);

/** Whole cents contained in an amount, rounded towards minus infinity: what a balance may show. */
export function floorToCents(amount: Usd): number {
  const whole = amount / MICROS_PER_CENT;
  return Number(amount < 0n && amount % MICROS_PER_CENT !== 0n ? whole - 1n : whole);
}

/** `amount × numerator / denominator` for non-negative operands, rounded up. */
export function mulDivCeil(amount: bigint, numerator: bigint, denominator: bigint): bigint {
  const product = amount * numerator;
  return (product + denominator - 1n) / denominator;
}

/** An amount as a plain decimal string with the currency's full scale, e.g. `-0.004200`. */
export function toDecimal(amount: bigint, of: Currency): string {
  const scale = CURRENCY_SCALE[of];
  const digits = (amount < 0n ? -amount : amount).toString().padStart(scale + 1, '0');
  return `${amount < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}
