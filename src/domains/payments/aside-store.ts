import type { AccountId, TopupId } from '../../kernel/ids.ts';
import { usd, type Usd } from '../../kernel/money.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Payment } from './chain.ts';

/** A payment that has settled on its chain and that no ledger account has room for, or that is too large to be true. */
export type AsidePayment = {
  topupId: TopupId;
  accountId: AccountId;
  chainId: number;
  txHash: string;
  logIndex: number;
  block: bigint;
  symbol: string;
  /** In the coin's smallest unit. */
  units: bigint;
  amount: Usd;
  setAsideAt: Date;
};

type Row = {
  topup_id: TopupId;
  account_id: AccountId;
  chain_id: bigint;
  tx_hash: string;
  log_index: number;
  block_number: bigint;
  symbol: string;
  token_amount: string;
  amount: string;
  set_aside_at: Date;
};

/** Keeps a payment that has just been written down as credited as one that is not. Answers whether that is new. */
export async function setAside(
  tx: Tx,
  chainId: number,
  { txHash, logIndex }: Pick<Payment, 'txHash' | 'logIndex'>,
  at: Date,
): Promise<boolean> {
  const [row] = await tx.query<{ first: boolean }>(
    `with before as (
       select set_aside_at from topup_payments where chain_id = $1 and tx_hash = $2 and log_index = $3)
     update topup_payments
        set credited_at = null, set_aside_at = coalesce(before.set_aside_at, $4)
       from before
      where chain_id = $1 and tx_hash = $2 and log_index = $3
     returning before.set_aside_at is null as first`,
    [chainId, txHash, logIndex, at],
  );
  return row?.first === true;
}

/** Newest first. */
export const asidePayments = async (db: Db, limit: number): Promise<AsidePayment[]> =>
  (
    await db.query<Row>(
      `select p.topup_id, t.account_id, p.chain_id, p.tx_hash, p.log_index, p.block_number, c.symbol,
              p.token_amount::text, p.amount::text, p.set_aside_at
         from topup_payments p join topups t on t.id = p.topup_id join topup_coins c using (token)
        where p.credited_at is null and p.set_aside_at is not null
        order by p.set_aside_at desc, p.block_number desc, p.log_index desc
        limit $1`,
      [limit],
    )
  ).map((row) => ({
    topupId: row.topup_id,
    accountId: row.account_id,
    chainId: Number(row.chain_id),
    txHash: row.tx_hash,
    logIndex: row.log_index,
    block: row.block_number,
    symbol: row.symbol,
    units: BigInt(row.token_amount),
    amount: usd(BigInt(row.amount)),
    setAsideAt: row.set_aside_at,
  }));
