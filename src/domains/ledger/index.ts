import { AppError, type Code as ErrorCode } from '../../kernel/errors.ts';
import type { AccountId, TransferId } from '../../kernel/ids.ts';
import type { Currency, Money } from '../../kernel/money.ts';
import type { AccountOp, Op } from '../../kernel/op.ts';
import { pageOf, type Page } from '../../kernel/page.ts';
import type { Database, Db, Tx } from '../../platform/db.ts';
import { wallet, WALLET_CURRENCIES, type Code } from './account.ts';
import { createBatcher, MAX_BATCH } from './batcher.ts';
import {
  holdCommand,
  resolutionCommand,
  transferCommand,
  type Command,
  type Hold,
  type Resolution,
  type Transfer,
} from './command.ts';
import { adjust, give, type Adjustment, type Gift, type Given } from './credit.ts';
import { reconcile, type Proof } from './reconcile.ts';
import {
  apply,
  dueHolds,
  findBalance,
  findBalances,
  findSums,
  movementsThrough,
  newestChanges,
  newestEntries,
  open,
  sumReceived,
  totals,
  type BalanceRow,
  type JournalQuery,
  type JournalRow,
  type MovementRow,
  type Outcome,
  type Result,
  type StatementRow,
  type Total,
} from './store.ts';

export { bounty, escrow, mint, PLAY_VAULT, REVENUE, VAULT, wallet, type Code } from './account.ts';
export type { Hold, Leg, Transfer } from './command.ts';
export { depositOf, type Adjustment, type Gift, type Given } from './credit.ts';
export {
  affordablePeriods,
  begin as beginMeter,
  newMeter,
  paidUntil,
  PERIOD_MS,
  periodsDue,
  prepay,
  priceOf,
  settle as settleMeter,
  type Meter,
  type Step as MeterStep,
} from './meter.ts';
export type { Discrepancy, Proof } from './reconcile.ts';
export type { Total } from './store.ts';

/** `posted` has moved for good, `held` is put aside, `available` is what can be spent. */
export type Balance<C extends Currency = Currency> = { posted: Money<C>; held: Money<C>; available: Money<C> };

/** One change of what is available. */
export type Change = {
  id: TransferId;
  seq: bigint;
  type: string;
  description: string;
  amount: Money;
  availableAfter: Money;
  at: Date;
};

/** What one transfer moved on one account. */
export type Movement = {
  transferId: TransferId;
  account: Code;
  type: string;
  description: string;
  amount: Money;
  postedAfter: Money;
  at: Date;
};

/** All that an account has had and used. `available` is `deposited` less `used`, which counts what is put aside too. */
export type Sums<C extends Currency = Currency> = {
  available: Money<C>;
  deposited: Money<C>;
  used: Money<C>;
  /** When it last changed; undefined where it never has. */
  changedAt: Date | undefined;
};

/** One numbered page of an account's changes, newest first, with the sums of the moment at which it was read. */
export type NumberedPage<C extends Currency = Currency> = { sums: Sums<C>; rows: Change[]; total: number };

/** One entry of the books, with the account on the other side that moved most. */
export type JournalEntry = {
  transferId: TransferId;
  seq: bigint;
  account: Code;
  counterparty: Code | undefined;
  type: string;
  description: string;
  metadata: Record<string, unknown>;
  amount: Money;
  balanceAfter: Money;
  at: Date;
};

/** What a transfer or a hold came to: `replayed` when its id had been carried out before. */
export type Settled = { outcome: 'done' | 'replayed'; posted: bigint; released: bigint };

/**
 * Money. Every verb is idempotent by the caller's id and throws `unaffordable`, `conflict` (the id was used for
 * something else, or the hold is resolved), `not_found` (no such account or hold) or `invalid`.
 *
 * The entries are themselves the facts of this domain: immutable, in sequence, in the transaction of the change. No
 * second copy of them is written to the outbox.
 */
export type Ledger = {
  /** Opens an account's wallets, one for each currency; finds them open already. */
  openWallet(tx: Tx, accountId: AccountId): Promise<void>;
  /** Opens an account that may not fall below zero; finds it open already. */
  openAccount(tx: Tx, account: Code): Promise<void>;
  /** Moves money in the transaction that causes it. */
  transfer(tx: Tx, op: Op, transfer: Transfer): Promise<Settled>;
  /**
   * Moves money several times, in this order and in one round trip. Each is done, or is not because the money is not
   * there, which hinders no other.
   */
  transferAll(tx: Tx, op: Op, transfers: readonly Transfer[]): Promise<('done' | 'replayed' | 'unaffordable')[]>;
  /** Moves money on its own, committed together with what else arrives at the same time. */
  submit(op: Op, transfer: Transfer): Promise<Settled>;
  hold(tx: Tx, op: Op, hold: Hold): Promise<Settled>;
  /** Takes a hold on its own, like `submit`. */
  submitHold(op: Op, hold: Hold): Promise<Settled>;
  /** Moves all of a hold or a part; the rest is available again. */
  postHold(tx: Tx, op: Op, holdId: TransferId, amount?: Money): Promise<Settled>;
  voidHold(tx: Tx, op: Op, holdId: TransferId): Promise<Settled>;
  /**
   * Gives credit of the caller's to another account. Throws `forbidden` for a key with scopes, `invalid` for oneself and
   * for nothing, `not_found` for an account that there is not.
   */
  give(op: AccountOp, gift: Gift): Promise<Given>;
  /** Gives an account money or takes it, for the operator alone: throws `forbidden` to all others. */
  adjust(op: Op, adjustment: Adjustment): Promise<TransferId>;
  /** Resolves a hold on its own, like `submit`. */
  submitResolution(op: Op, holdId: TransferId, resolution: Resolution): Promise<Settled>;
  /** Gives back what holds have outlived, all of it; answers how many. */
  expireDueHolds(op: Op): Promise<number>;
  balance<C extends Currency>(db: Db, account: Code<C>): Promise<Balance<C>>;
  /** Of all of these that there are. */
  balances<C extends Currency>(db: Db, accounts: readonly Code<C>[]): Promise<Map<Code<C>, Balance<C>>>;
  /** Newest first. */
  statement(db: Db, account: Code, page: { limit: number; before?: bigint }): Promise<Page<Change, bigint>>;
  /** All legs of the transfers through an account, oldest first; of one with few. */
  movements(db: Db, account: Code): Promise<Movement[]>;
  /** All that has come to an account by entries of these types. */
  received<C extends Currency>(db: Db, account: Code<C>, types: readonly string[]): Promise<Money<C>>;
  sums<C extends Currency>(db: Db, account: Code<C>): Promise<Sums<C>>;
  /** Pages count from 1; one past the last is empty. */
  numberedPage<C extends Currency>(
    db: Db,
    account: Code<C>,
    page: { number: number; size: number },
  ): Promise<NumberedPage<C>>;
  /** What was booked in one currency, newest first; for the operator. */
  journal(db: Db, query: JournalQuery): Promise<JournalEntry[]>;
  reconcile(db: Db): Promise<Record<Currency, Proof>>;
  /** What all accounts of each kind have posted. */
  totals(db: Db): Promise<Total[]>;
};

/** Legs that are read at once: accounts that are read like this have a beginning and an end. */
const MAX_MOVEMENTS = 1_000;

export function createLedger({ db }: { db: Database }): Ledger {
  const submitCommand = createBatcher(db);
  const submit: Ledger['submit'] = async (op, transfer) => settled(await submitCommand(transferCommand(op, transfer)));
  const inside = async (tx: Tx, command: Command) => settled((await apply(tx, [command]))[0]);
  return {
    async openWallet(tx, accountId) {
      for (const currency of WALLET_CURRENCIES)
        if (!(await open(tx, wallet(accountId, currency), 0n)))
          throw new AppError('conflict', 'This wallet is open with another limit');
    },
    async openAccount(tx, account) {
      if (!(await open(tx, account, 0n))) throw new AppError('conflict', 'This account is open with another limit');
    },
    transfer: (tx, op, transfer) => inside(tx, transferCommand(op, transfer)),
    async transferAll(tx, op, transfers) {
      const outcomes: ('done' | 'replayed' | 'unaffordable')[] = [];
      for (let from = 0; from < transfers.length; from += MAX_BATCH) {
        const commands = transfers.slice(from, from + MAX_BATCH).map((transfer) => transferCommand(op, transfer));
        for (const result of await apply(tx, commands))
          outcomes.push(result.outcome === 'unaffordable' ? 'unaffordable' : settled(result).outcome);
      }
      return outcomes;
    },
    submit,
    give: (op, gift) => give(submit, op, gift),
    adjust: (op, adjustment) => adjust(submit, op, adjustment),
    hold: (tx, op, hold) => inside(tx, holdCommand(op, hold)),
    submitHold: async (op, hold) => settled(await submitCommand(holdCommand(op, hold))),
    postHold: (tx, op, id, amount) =>
      inside(tx, resolutionCommand(op, id, { kind: 'post', ...(amount !== undefined && { amount }) })),
    voidHold: (tx, op, id) => inside(tx, resolutionCommand(op, id, { kind: 'void' })),
    submitResolution: async (op, id, resolution) => settled(await submitCommand(resolutionCommand(op, id, resolution))),
    expireDueHolds: (op) => expireDueHolds(db, op),
    balance: (reader, account) => balance(reader, account),
    balances: (reader, accounts) => balances(reader, accounts),
    statement: (reader, account, page) => statement(reader, account, page),
    movements: async (reader, account) => (await movementsThrough(reader, account, MAX_MOVEMENTS)).map(movementOf),
    received: async <C extends Currency>(reader: Db, account: Code<C>, types: readonly string[]) =>
      (await sumReceived(reader, account, types)) as Money<C>,
    sums: async (reader, account) => (await numbers(reader, account)).sums,
    numberedPage,
    journal: async (reader, query) => (await newestEntries(reader, query)).map(entryOf),
    reconcile,
    totals,
  };
}

const REFUSALS: Record<Exclude<Outcome, 'done' | 'replayed'>, { code: ErrorCode; text: string }> = {
  unaffordable: { code: 'unaffordable', text: 'Insufficient balance' },
  conflict: { code: 'conflict', text: 'This transfer was made differently before, or its hold is resolved' },
  not_found: { code: 'not_found', text: 'No such ledger account or hold' },
  out_of_range: { code: 'invalid', text: 'The amount is too large' },
};

function settled(result: Result | undefined): Settled {
  if (!result) throw new Error('the ledger answered no result');
  const { outcome, posted, released } = result;
  if (outcome === 'done' || outcome === 'replayed') return { outcome, posted: posted ?? 0n, released: released ?? 0n };
  throw new AppError(REFUSALS[outcome].code, REFUSALS[outcome].text);
}

async function expireDueHolds(db: Database, op: Op): Promise<number> {
  for (let expired = 0; ;) {
    const due = await dueHolds(db, op.now, MAX_BATCH);
    const commands = due.map((id) => resolutionCommand(op, id, { kind: 'expire' }));
    const results = due.length === 0 ? [] : await apply(db, commands);
    const done = results.filter((result) => result.outcome === 'done').length;
    expired += done;
    // Where none was left to expire, somebody else resolves them: the next sweep sees what remains.
    if (due.length < MAX_BATCH || done === 0) return expired;
  }
}

async function balance<C extends Currency>(db: Db, account: Code<C>): Promise<Balance<C>> {
  const row = await findBalance(db, account);
  if (!row) throw new AppError('not_found', 'No such ledger account');
  return balanceOf<C>(row);
}

const balances = async <C extends Currency>(db: Db, accounts: readonly Code<C>[]): Promise<Map<Code<C>, Balance<C>>> =>
  new Map((await findBalances(db, accounts)).map((row) => [row.code as Code<C>, balanceOf<C>(row)]));

const balanceOf = <C extends Currency>({ posted, held }: BalanceRow): Balance<C> => ({
  posted: posted as Money<C>,
  held: held as Money<C>,
  available: (posted - held) as Money<C>,
});

async function numbers<C extends Currency>(db: Db, account: Code<C>) {
  const row = await findSums(db, account);
  if (!row) throw new AppError('not_found', 'No such ledger account');
  const deposited = BigInt(row.deposited);
  const sums: Sums<C> = {
    available: row.available as Money<C>,
    deposited: deposited as Money<C>,
    used: (deposited - row.available) as Money<C>,
    changedAt: row.changed_at ?? undefined,
  };
  return { sums, total: Number(row.changes), lastSeq: row.last_seq };
}

async function numberedPage<C extends Currency>(
  db: Db,
  account: Code<C>,
  { number, size }: { number: number; size: number },
): Promise<NumberedPage<C>> {
  const { sums, total, lastSeq } = await numbers(db, account);
  // Entries are never changed, so up to the newest that the sums know the list is the one that they sum up.
  const rows = await newestChanges(db, account, { limit: size, before: lastSeq + 1n, offset: (number - 1) * size });
  return { sums, rows: rows.map(changeOf), total };
}

async function statement(
  db: Db,
  account: Code,
  { limit, before }: { limit: number; before?: bigint },
): Promise<Page<Change, bigint>> {
  const rows = await newestChanges(db, account, { limit: limit + 1, before });
  return pageOf(rows.map(changeOf), limit, (change) => change.seq);
}

const movementOf = (row: MovementRow): Movement => ({
  transferId: row.transfer_id,
  account: row.account,
  type: row.type,
  description: row.description,
  amount: row.posted_delta as Money,
  postedAfter: row.posted_after as Money,
  at: row.at,
});

const entryOf = (row: JournalRow): JournalEntry => ({
  transferId: row.transfer_id,
  seq: row.seq,
  account: row.account,
  counterparty: row.counterparty ?? undefined,
  type: row.type,
  description: row.description,
  metadata: row.metadata,
  amount: row.posted_delta as Money,
  balanceAfter: row.posted_after as Money,
  at: row.at,
});

const changeOf = (row: StatementRow): Change => ({
  id: row.transfer_id,
  seq: row.seq,
  type: row.type,
  description: row.description,
  amount: row.available_delta as Money,
  availableAfter: row.available_after as Money,
  at: row.at,
});
