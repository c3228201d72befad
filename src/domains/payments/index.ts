import { getAddress } from 'viem/utils';
import { AppError, isAppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import type { AccountOp, Op } from '../../kernel/op.ts';
import { SECOND, type Clock } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import type { OutgoingFetch } from '../../platform/fetch.ts';
import { defineSweep, type SweepDefinition } from '../../platform/jobs/index.ts';
import type { Log } from '../../platform/log.ts';
import type { Ledger } from '../ledger/index.ts';
import { asidePayments, type AsidePayment } from './aside-store.ts';
import { createChain } from './chain.ts';
import { exportWallet, type ExportedWallet } from './export.ts';
import { isOpen, noteAsked, rescan, type RescanWish } from './asked.ts';
import { openCoin, requestTopup, type TopupWish } from './request.ts';
import { createRpc } from './rpc.ts';
import { findCoin, findTopup, topupsOf } from './store.ts';
import { MAX_LISTED, MAX_LISTED_ASIDE, type Coin, type Topup } from './topup.ts';
import { createWallet } from './wallet.ts';
import { createWatch, tellUnread } from './watch.ts';
import type { EvmSettings, PaymentsWorld } from './world.ts';

export type { AsidePayment } from './aside-store.ts';
export type { ExportedWallet } from './export.ts';
export { MAX_RPC_REPLY_BYTES, RPC_TIME_LIMIT_MS } from './rpc.ts';
export {
  AMOUNT_RULE,
  LEAST_USD,
  MAX_LISTED,
  MAX_LISTED_ASIDE,
  MAX_OPEN,
  MAX_OPEN_UNPAID,
  MAX_SYMBOL_LENGTH,
  MOST_USD,
  OPEN_MS,
  parseAmount,
  stateOf,
  UNPAID_WATCHED_MS,
  WATCHED_MS,
} from './topup.ts';
export type { Coin, Topup, TopupState } from './topup.ts';
export type { RescanWish } from './asked.ts';
export type { EvmSettings, FormerCoins } from './world.ts';

const PATIENCE_MS = 3 * SECOND;
/** How often the chain is looked at. */
const LOOK_SECONDS = 5;

/** A coin that is taken here. */
export type AcceptedCoin = Coin & { confirmations: number };

/** Money that accounts bring in themselves: a coin worth a dollar, paid to an address of each top-up's own. */
export type Payments = {
  /** Throws `unconfigured`, `at_capacity` (the chain cannot be asked), `invalid`, `conflict`. */
  request(op: AccountOp, wish: TopupWish): Promise<Topup>;
  /** An address that rested is watched again from here on. Throws `not_found`, also for another account's. */
  get(op: AccountOp, reference: string): Promise<Topup>;
  /** Newest first. Those that wait for a payment count as asked for. */
  list(op: AccountOp): Promise<Topup[]>;
  /** What may be paid with; undefined where nothing may, or the chain does not say. */
  accepted(op: AccountOp): Promise<AcceptedCoin | undefined>;
  /** Blocks that must stand on a payment, its own included. */
  confirmations: number;
  exportWallet(op: Op): Promise<ExportedWallet>;
  /**
   * Has the chain read once more for addresses from the first block on that they can have been paid in: a top-up's, an
   * account's, or all. Answers how many addresses that is; throws `not_found`.
   */
  rescan(op: Op, wish: RescanWish): Promise<number>;
  /**
   * Payments that have settled and could not be credited, newest first, for the operator. Those that there is room for
   * later are credited when the chain is read for them once more.
   */
  listAside(): Promise<AsidePayment[]>;
  /** Says in the log what is not read for any more. */
  tellUnread(): Promise<void>;
  /** Looks at the chain and credits what has settled. Answers how much that was. */
  watch(op: Op): Promise<number>;
  sweeps: readonly SweepDefinition[];
};

export type PaymentsOptions = {
  db: Database;
  clock: Clock;
  log: Log;
  ledger: Ledger;
  /** Master secret of this installation. */
  secret: Uint8Array;
  dir: string;
  /** Undefined where the operator takes no payments. */
  evm: EvmSettings | undefined;
  /** Reaches the operator's node, wherever it stands. */
  send: OutgoingFetch['send'];
};

export function createPayments({ secret, evm, send, ...ground }: PaymentsOptions): Payments {
  const { db } = ground;
  const rpc = createRpc({ url: evm?.rpcUrl ?? '', send });
  const chainOf = (token: string) => createChain(rpc, token);
  const world: PaymentsWorld = {
    ...ground,
    wallet: createWallet({ ...ground, secret }),
    chain: evm && chainOf(evm.token.toLowerCase()),
    chainOf,
    formerCoins: evm?.formerCoins ?? 'ignored',
    confirmations: evm?.confirmations ?? 0,
  };
  const watch = createWatch(world);
  const accepted = createAccepted(world);
  return {
    request: async (op, wish) => shown(await requestTopup(world, op, wish)),
    async get(op, reference) {
      const id = parseId('topup', reference);
      const topup = id && (await findTopup(db, id));
      if (topup?.accountId !== op.actor.accountId) throw new AppError('not_found', 'Top-up not found');
      await noteAsked(db, op, [topup]);
      return shown(topup);
    },
    async list(op) {
      const topups = await topupsOf(db, op.actor.accountId, MAX_LISTED);
      await noteAsked(db, op, topups.filter(isOpen(op.now)));
      return topups.map(shown);
    },
    accepted,
    confirmations: world.confirmations,
    exportWallet: (op) => exportWallet(world, op),
    rescan: (op, wish) => rescan(db, op, wish),
    listAside: () => asidePayments(db, MAX_LISTED_ASIDE),
    tellUnread: () => tellUnread(world),
    watch,
    sweeps: evm ? [defineSweep({ name: 'payments.watch', everySeconds: LOOK_SECONDS, runDue: watch })] : [],
  };
}

/** A coin is asked about itself once; before it has answered nobody who only looks waits long for it. */
function createAccepted(world: PaymentsWorld): Payments['accepted'] {
  const { db, chain, confirmations } = world;
  let described: Coin | undefined;
  return async ({ signal }) => {
    if (!chain) return undefined;
    const soon = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
    described ??=
      (await findCoin(db, chain.token)) ?? (await openCoin(world, chain, { signal: soon }).catch(nothing))?.coin;
    return described && { ...described, token: getAddress(described.token), confirmations };
  };
}

function nothing(error: unknown): undefined {
  if (!isAppError(error, 'at_capacity')) throw error;
  return undefined;
}

/** Addresses as people write them, with the checksum in their letters (ERC-55). */
const shown = (topup: Topup): Topup => ({
  ...topup,
  address: getAddress(topup.address),
  coin: { ...topup.coin, token: getAddress(topup.coin.token) },
});
