import type { AccountId, EscrowId } from '../../kernel/ids.ts';
import type { Currency } from '../../kernel/money.ts';

declare const code: unique symbol;

/** Names a ledger account: kind, owner where there is one, currency. `wallet:<account id>:USD`, `mint:TCK`. */
export type Code<C extends Currency = Currency> = string & { readonly [code]: C };

/** An account's money in one currency. Never below zero. */
export const wallet = <C extends Currency>(accountId: AccountId, currency: C): Code<C> =>
  `wallet:${accountId}:${currency}` as Code<C>;
/** Where money comes from. Its balance is what all the others have, below zero. */
export const mint = <C extends Currency>(currency: C): Code<C> => `mint:${currency}` as Code<C>;
/** What the platform has earned. */
export const REVENUE = 'revenue:USD' as Code<'USD'>;

/** The grid's treasury: tax, fees and what was confiscated come to it. */
export const VAULT = 'vault:TCK' as Code<'TCK'>;
/** The same for nodes that only play: what they pay is worth nothing, and nothing of worth is paid from it. */
export const PLAY_VAULT = 'vault:sandbox:TCK' as Code<'TCK'>;
/** What one node has locked away for another. */
export const escrow = (id: EscrowId): Code<'TCK'> => `escrow:${id}:TCK` as Code<'TCK'>;
/** The reward of a bounty until somebody has earned it. */
export const bounty = (id: string): Code<'TCK'> => `bounty:${id}:TCK` as Code<'TCK'>;

export const WALLET_CURRENCIES = ['USD', 'TCK'] as const satisfies readonly Currency[];
