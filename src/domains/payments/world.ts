import type { Clock } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import type { Log } from '../../platform/log.ts';
import type { Ledger } from '../ledger/index.ts';
import type { Chain } from './chain.ts';
import type { Wallet } from './wallet.ts';

/** Where the operator takes payments. */
export type EvmSettings = {
  rpcUrl: string;
  /** The coin's contract. */
  token: string;
  /** Blocks that must stand on a payment, its own included, before it is believed. */
  confirmations: number;
  /** What becomes of payments with coins that were set before this one, to addresses that were given out for them. */
  formerCoins: FormerCoins;
};

export type FormerCoins = 'credited' | 'ignored';

/** What the verbs of this domain stand on. */
export type PaymentsWorld = {
  db: Database;
  clock: Clock;
  log: Log;
  ledger: Ledger;
  wallet: Wallet;
  /** Undefined where the operator takes no payments. */
  chain: Chain | undefined;
  /** The same node, asked about another coin. */
  chainOf(token: string): Chain;
  formerCoins: FormerCoins;
  confirmations: number;
  /** Where what is for the operator alone is written. */
  dir: string;
};
