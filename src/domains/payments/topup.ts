import { AppError } from '../../kernel/errors.ts';
import type { AccountId, TopupId } from '../../kernel/ids.ts';
import { cents, CURRENCY_SCALE, usd, type Usd } from '../../kernel/money.ts';
import { DAY } from '../../kernel/time.ts';

/** A coin that is worth a dollar, as its contract on a chain describes itself. */
export type Coin = {
  chainId: number;
  /** Its contract's address, in lower case. */
  token: string;
  symbol: string;
  decimals: number;
};

/** Money that an account wants to bring in, and the address that is this top-up's alone. */
export type Topup = {
  id: TopupId;
  accountId: AccountId;
  coin: Coin;
  /** In lower case. */
  address: string;
  addressIndex: number;
  /** What was asked for. */
  amount: Usd;
  /** What has been credited. */
  received: Usd;
  /** Whether a payment is on the chain that is not credited yet. */
  confirming: boolean;
  /** Blocks that stand on the newest payment, itself included; 0 while there is none. */
  confirmations: number;
  createdAt: Date;
  expiresAt: Date;
  /** When its owner, or the operator, asked for it last. */
  askedAt: Date;
  /** Its address is not watched, and nobody wishes that it were. */
  rests: boolean;
};

export type TopupState = 'pending' | 'confirming' | 'paid' | 'expired';

/** How long a payment is waited for. */
export const OPEN_MS = DAY;
/** How long an address is watched after that, where its account has paid once; and how long its owner can have it watched again. */
export const WATCHED_MS = 30 * DAY;
/** How long where it never has: accounts cost a stranger nothing, and everybody's payments wait while addresses are looked for. */
export const UNPAID_WATCHED_MS = DAY;
/** Top-ups of an account that wait for a payment: each address is one more to look for in every block. */
export const MAX_OPEN = 10;
export const MAX_OPEN_UNPAID = 2;
/**
 * Addresses of a coin that are watched at a time: of accounts that have paid, and of those that have not. Of more than
 * that the ones that nobody has asked for the longest rest until somebody does.
 */
export const MAX_WATCHED_PAYERS = 10_000;
export const MAX_WATCHED_STRANGERS = 5_000;
/** Top-ups that are listed. */
export const MAX_LISTED = 100;
/** Payments that were set aside and are listed. */
export const MAX_LISTED_ASIDE = 1_000;
export const LEAST_USD = 1;
export const MOST_USD = 10_000;
export const MAX_SYMBOL_LENGTH = 20;

const AMOUNT = /^\d{1,6}(\.\d{1,2})?$/;
export const AMOUNT_RULE = `must be US dollars from ${LEAST_USD} to ${MOST_USD} with at most two decimals, as in "25.00"`;

/** Reads an amount of dollars; undefined where it is none that can be asked for. */
export function parseAmount(given: string | number): Usd | undefined {
  const text = String(given);
  if (!AMOUNT.test(text)) return undefined;
  const [whole = '', fraction = ''] = text.split('.');
  const amount = cents(BigInt(whole) * 100n + BigInt(fraction.padEnd(2, '0')));
  return amount >= cents(LEAST_USD * 100) && amount <= cents(MOST_USD * 100) ? amount : undefined;
}

/** What a number of a coin's smallest units is worth: a dollar for each coin, less than a micro-dollar for nothing. */
export function worthOf(units: bigint, { decimals }: Pick<Coin, 'decimals'>): Usd {
  const shift = decimals - CURRENCY_SCALE.USD;
  return usd(shift >= 0 ? units / 10n ** BigInt(shift) : units * 10n ** BigInt(-shift));
}

export function stateOf({ confirming, received, expiresAt }: Topup, now: Date): TopupState {
  if (confirming) return 'confirming';
  if (received > 0n) return 'paid';
  return expiresAt <= now ? 'expired' : 'pending';
}

export const wrongField = (field: string, rule: string): AppError =>
  new AppError('invalid', `${field} ${rule}`, {
    fields: [{ in: 'body', path: [field], message: `${field} ${rule}`, problem: 'malformed' }],
  });
