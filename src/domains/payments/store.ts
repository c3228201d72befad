import { assert } from '../../kernel/errors.ts';
import type { AccountId, TopupId } from '../../kernel/ids.ts';
import { cents, usd, type Usd } from '../../kernel/money.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Payment } from './chain.ts';
import { LEAST_USD, type Coin, type Topup } from './topup.ts';

type CoinRow = {
  token: string;
  chain_id: bigint;
  symbol: string;
  decimals: number;
  next_block: bigint;
  last_hash: string | null;
  head_block: bigint;
  rounds: number;
};

type TopupRow = Omit<CoinRow, 'next_block' | 'last_hash' | 'rounds'> & {
  id: TopupId;
  account_id: AccountId;
  address_index: number;
  address: string;
  amount: bigint;
  created_at: Date;
  expires_at: Date;
  asked_at: Date;
  rests: boolean;
  received: bigint;
  confirming: boolean;
  newest_block: bigint | null;
};

/** A coin, and how far its chain has been read. */
export type ReadCoin = Coin & {
  /** The first block that is still to be read for good. */
  nextBlock: bigint;
  /** The hash of the block before, where that is known. */
  lastHash: string | undefined;
  /** How often addresses that rested have been watched again. */
  rounds: number;
};

const coinOf = (row: Pick<CoinRow, 'token' | 'chain_id' | 'symbol' | 'decimals'>): Coin => ({
  token: row.token,
  chainId: Number(row.chain_id),
  symbol: row.symbol,
  decimals: row.decimals,
});

const topupOf = (row: TopupRow): Topup => ({
  id: row.id,
  accountId: row.account_id,
  coin: coinOf(row),
  address: row.address,
  addressIndex: row.address_index,
  amount: usd(row.amount),
  received: usd(row.received),
  confirming: row.confirming,
  confirmations:
    row.newest_block === null || row.newest_block > row.head_block ? 0 : Number(row.head_block - row.newest_block) + 1,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  askedAt: row.asked_at,
  rests: row.rests,
});

const TOPUP = `select t.id, t.account_id, t.address_index, t.address, t.amount, t.created_at, t.expires_at, t.asked_at,
         t.rests_from is not null and t.wish is null as rests, c.token, c.chain_id, c.symbol, c.decimals, c.head_block, p.received, p.confirming, p.newest_block
    from topups t
    join topup_coins c using (token)
   cross join lateral (
         select coalesce(sum(amount) filter (where credited_at is not null), 0)::bigint as received,
                coalesce(bool_or(credited_at is null), false) as confirming,
                max(block_number) as newest_block
           from topup_payments where topup_id = t.id) p`;

export const findTopup = async (db: Db, id: TopupId): Promise<Topup | undefined> =>
  (await db.query<TopupRow>(`${TOPUP} where t.id = $1`, [id])).map(topupOf)[0];

export const topupsOf = async (db: Db, accountId: AccountId, limit: number): Promise<Topup[]> =>
  (await db.query<TopupRow>(`${TOPUP} where t.account_id = $1 order by t.seq desc limit $2`, [accountId, limit])).map(
    topupOf,
  );

/** Those that money has come to, for the operator. */
export const receivedTopups = async (db: Db): Promise<Topup[]> =>
  (await db.query<TopupRow>(`${TOPUP} where p.received > 0 order by t.address_index`)).map(topupOf);

/** Lets one transaction at a time count an account's top-ups, until it ends. */
export async function lockAccount(tx: Tx, accountId: AccountId): Promise<void> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('top-ups of ' || $1, 0))`, [accountId]);
}

/** Those that wait for a first payment. */
export async function countOpen(tx: Tx, accountId: AccountId, now: Date): Promise<number> {
  const [row] = await tx.query<{ open: number }>(
    `select count(*)::integer as open from topups
      where account_id = $1 and expires_at > $2
        and not exists (select from topup_payments where topup_id = topups.id)`,
    [accountId, now],
  );
  return row?.open ?? 0;
}

/** The wallet's next address that nobody has been given. */
export async function nextAddressIndex(tx: Tx): Promise<number> {
  const [row] = await tx.query<{ index: bigint }>(`select nextval('topup_addresses') as index`);
  assert(row, 'a sequence has a next value');
  return Number(row.index);
}

export type NewTopup = Pick<Topup, 'id' | 'accountId' | 'address' | 'addressIndex' | 'amount' | 'createdAt'> & {
  token: string;
  expiresAt: Date;
  /** The first block that a payment to it can be in. */
  firstBlock: bigint;
};

export async function insertTopup(tx: Tx, topup: NewTopup): Promise<void> {
  await tx.query(
    `insert into topups (id, account_id, token, address_index, address, amount, created_at, expires_at, asked_at, first_block)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $7, $9)`,
    [
      topup.id,
      topup.accountId,
      topup.token,
      topup.addressIndex,
      topup.address,
      topup.amount,
      topup.createdAt,
      topup.expiresAt,
      topup.firstBlock,
    ],
  );
}

const READ_COIN = `select token, chain_id, symbol, decimals, next_block, last_hash, head_block, rounds from topup_coins where token = $1`;

const readCoinOf = (row: CoinRow): ReadCoin => ({
  ...coinOf(row),
  nextBlock: row.next_block,
  lastHash: row.last_hash ?? undefined,
  rounds: row.rounds,
});

export const findCoin = async (db: Db, token: string): Promise<ReadCoin | undefined> =>
  (await db.query<CoinRow>(READ_COIN, [token])).map(readCoinOf)[0];

/** Coins that there is something to read for. */
export const coinsToRead = async (db: Db): Promise<Coin[]> =>
  (
    await db.query<CoinRow>(
      `select * from topup_coins c
        where exists (select from topups t where t.token = c.token
                         and (t.rests_from is null or t.wish is not null or t.unread_from is not null))
        order by c.token`,
    )
  ).map(coinOf);

/** Locks how far the chain has been read, so that no other process reads on meanwhile. */
export const lockCoin = async (tx: Tx, token: string): Promise<ReadCoin | undefined> =>
  (await tx.query<CoinRow>(`${READ_COIN} for update`, [token])).map(readCoinOf)[0];

/** A coin that is known keeps what is known of it. */
export async function insertCoin(
  tx: Tx,
  coin: Coin,
  { nextBlock, headBlock, now }: { nextBlock: bigint; headBlock: bigint; now: Date },
): Promise<void> {
  await tx.query(
    `insert into topup_coins (token, chain_id, symbol, decimals, next_block, head_block, read_at)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict do nothing`,
    [coin.token, coin.chainId, coin.symbol, coin.decimals, nextBlock, headBlock, now],
  );
}

/** For a row that this transaction has locked. `readAt`: when the look began, if it came to the end of the chain. */
export async function saveRead(
  tx: Tx,
  token: string,
  read: { nextBlock: bigint; lastHash: string | undefined; head: bigint; readAt: Date | undefined },
): Promise<void> {
  await tx.query(
    `update topup_coins set next_block = $2, last_hash = $3, head_block = $4, read_at = greatest(read_at, $5)
      where token = $1`,
    [token, read.nextBlock, read.lastHash ?? null, read.head, read.readAt ?? null],
  );
}

/** Whether an account has brought in once what a top-up is at the least. */
export const hasPaid = async (db: Db, accountId: AccountId): Promise<boolean> =>
  (await db.query(`select from topup_payers where account_id = $1`, [accountId])).length > 0;

/** Notes of an account that was credited that it has paid, once what has come is no mere dust. Answers whether that is new. */
export async function notePayer(tx: Tx, accountId: AccountId, now: Date): Promise<boolean> {
  const rows = await tx.query(
    `insert into topup_payers (account_id, paid_at)
     select $1, $2
      where not exists (select from topup_payers where account_id = $1)
        and (select sum(p.amount) from topups t join topup_payments p on p.topup_id = t.id
              where t.account_id = $1 and p.credited_at is not null) >= $3
     on conflict do nothing
     returning account_id`,
    [accountId, now, cents(LEAST_USD * 100)],
  );
  return rows.length > 0;
}

export type Paid = { topupId: TopupId; accountId: AccountId };

/** Whose address was paid to. */
export const payee = async (db: Db, address: string): Promise<Paid | undefined> =>
  (
    await db.query<{ id: TopupId; account_id: AccountId }>(`select id, account_id from topups where address = $1`, [
      address,
    ])
  ).map((row) => ({ topupId: row.id, accountId: row.account_id }))[0];

/**
 * Whether this payment is credited now for the first time. A transaction that was credited in another block is there
 * once more because the chain was rewritten deeper than we waited; its money came once.
 */
export async function insertCredited(
  tx: Tx,
  chainId: number,
  payment: Payment,
  { topupId, amount, at }: { topupId: TopupId; amount: Usd; at: Date },
): Promise<boolean> {
  const rows = await tx.query(
    `insert into topup_payments (chain_id, tx_hash, log_index, topup_id, block_number, block_hash, token_amount, amount, credited_at)
     select $1, $2, $3, $4, $5, $6, $7, $8, $9
      where not exists (select from topup_payments
                         where chain_id = $1 and tx_hash = $2 and block_hash <> $6 and credited_at is not null)
     on conflict (chain_id, tx_hash, log_index) do update
        set topup_id = excluded.topup_id, block_number = excluded.block_number, block_hash = excluded.block_hash,
            token_amount = excluded.token_amount, amount = excluded.amount, credited_at = excluded.credited_at
      where topup_payments.credited_at is null
     returning tx_hash`,
    [...valuesOf(chainId, payment, topupId, amount), at],
  );
  return rows.length > 0;
}

/** What is on the chain and not credited yet, in place of what was there at the last look. */
export async function replaceAwaited(
  tx: Tx,
  { chainId, token }: Coin,
  awaited: readonly { payment: Payment; topupId: TopupId; amount: Usd }[],
): Promise<void> {
  await tx.query(
    `delete from topup_payments
      where credited_at is null and set_aside_at is null and topup_id in (select id from topups where token = $1)`,
    [token],
  );
  for (const { payment, topupId, amount } of awaited)
    await tx.query(
      `insert into topup_payments (chain_id, tx_hash, log_index, topup_id, block_number, block_hash, token_amount, amount)
       select $1, $2, $3, $4, $5, $6, $7, $8
        where not exists (select from topup_payments where chain_id = $1 and tx_hash = $2 and credited_at is not null)
       on conflict do nothing`,
      valuesOf(chainId, payment, topupId, amount),
    );
}

const valuesOf = (chainId: number, { txHash, logIndex, block, units }: Payment, topupId: TopupId, amount: Usd) => [
  chainId,
  txHash,
  logIndex,
  topupId,
  block.number,
  block.hash,
  units,
  amount,
];
