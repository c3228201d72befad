import { BASIS_POINTS, toDecimal, tck, type Tck } from '../../kernel/money.ts';
import { PLAY_VAULT, VAULT, type Code } from '../ledger/index.ts';

/** Ten-thousandths of a TCK in a whole one. */
const UNITS = 10_000n;
const whole = (amount: bigint): Tck => tck(amount * UNITS);

/** What a node has when it is verified. */
export const INITIAL_BALANCE = whole(100n);
export const LISTING_FEE = tck(5_000n);
export const GENESIS_BONUS = whole(300n);
export const PIONEER_BONUS = whole(500n);
export const TAX_BASIS_POINTS = 300n;

/** What the vault gets of an amount; the part below a ten-thousandth stays with whoever is paid. */
export const taxOf = (amount: Tck): Tck => tck((amount * TAX_BASIS_POINTS) / BASIS_POINTS);

/** Where fees and tax go: what play money pays never comes to what is paid from the vault. */
export const vaultOf = ({ sandbox }: { sandbox: boolean }): Code<'TCK'> => (sandbox ? PLAY_VAULT : VAULT);

/** The amount that a client has written as a number, to the nearest ten-thousandth. */
export const nearestTck = (amount: number): Tck => tck(BigInt(Math.round(amount * Number(UNITS))));

/** An amount with four decimals: `4.8500`. */
export const decimals = (amount: bigint): string => toDecimal(amount, 'TCK');

const SHORTEST = 2;
/** An amount with two decimals, or as many as it needs: `0.50`, `0.1234`. */
export function shortDecimals(amount: bigint): string {
  const text = decimals(amount);
  const least = text.indexOf('.') + 1 + SHORTEST;
  return text.slice(0, least) + text.slice(least).replace(/0+$/, '');
}

/** For contracts that show an amount as a number. */
export const asNumber = (amount: bigint): number => Number(decimals(amount));
