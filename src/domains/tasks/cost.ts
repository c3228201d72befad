import { BASIS_POINTS, cents, mulDivCeil, MICROS_PER_CENT, usd, type Usd } from '../../kernel/money.ts';
import { SECOND } from '../../kernel/time.ts';

/**
 * What a task costs. Inference at list price and machine time at the price of the `2vcpu_2gb` tier are each raised by
 * the markup and then rounded up to the cent; the sum never exceeds the budget.
 */
export const MARKUP_BPS = 1_000n;
/** `2vcpu_2gb` of the price list, which is what a task's machine is. */
export const MACHINE_HOUR_PRICE: Usd = cents(15);
const SECONDS_PER_HOUR = 3_600n;
const MARKED_UP = BASIS_POINTS + MARKUP_BPS;

export type Cost = {
  computeSeconds: number;
  /** At list price, before the markup. */
  inference: Usd;
  compute: Usd;
  spentCents: number;
};

/** Machine time is billed by the second begun. */
export const secondsBegun = (milliseconds: number): number => Math.ceil(milliseconds / SECOND);

export const priceOfSeconds = (seconds: number): Usd =>
  usd(mulDivCeil(BigInt(seconds), MACHINE_HOUR_PRICE, SECONDS_PER_HOUR));

/** Cents that one component costs: with the markup, rounded up. */
export const chargedCents = (amount: Usd): number =>
  Number(mulDivCeil(amount, MARKED_UP, BASIS_POINTS * MICROS_PER_CENT));

/** The greatest amount at list price that costs no more than so many cents. */
const covered = (centsLeft: number): Usd =>
  usd(centsLeft <= 0 ? 0n : (BigInt(centsLeft) * MICROS_PER_CENT * BASIS_POINTS) / MARKED_UP);

export function costOf(budgetCents: number, inference: Usd, computeSeconds: number): Cost {
  const compute = priceOfSeconds(computeSeconds);
  const spentCents = Math.min(budgetCents, chargedCents(inference) + chargedCents(compute));
  return { computeSeconds, inference, compute, spentCents };
}

/** What the next model call may cost at list price, when machine time up to `computeSeconds` is set aside first. */
export function inferenceLeft(budgetCents: number, inference: Usd, computeSeconds: number): Usd {
  const allowance = covered(budgetCents - chargedCents(priceOfSeconds(computeSeconds)));
  return usd(allowance > inference ? allowance - inference : 0n);
}

/** Seconds of machine time that the budget pays for beside the inference so far. */
export const affordableSeconds = (budgetCents: number, inference: Usd): number =>
  Number((covered(budgetCents - chargedCents(inference)) * SECONDS_PER_HOUR) / MACHINE_HOUR_PRICE);
