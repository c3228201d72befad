import { assert } from '../../kernel/errors.ts';
import type { Db, Tx } from '../../platform/db.ts';

/** There is one wallet. */
const CURRENT = 'current';

export async function findWallet(db: Db): Promise<Buffer | undefined> {
  const [row] = await db.query<{ sealed: Buffer }>(`select sealed from topup_wallets where id = $1`, [CURRENT]);
  return row?.sealed;
}

/** Keeps a wallet unless there is one, and answers the one that is kept: of two that make one at once, the first counts. */
export async function insertWallet(tx: Tx, sealed: Buffer, at: Date): Promise<Buffer> {
  await tx.query(`insert into topup_wallets (id, sealed, created_at) values ($1, $2, $3) on conflict do nothing`, [
    CURRENT,
    sealed,
    at,
  ]);
  return (await findWallet(tx)) ?? sealed;
}

export async function nextAddressIndex(tx: Tx): Promise<number> {
  const [row] = await tx.query<{ index: bigint }>(`select nextval('topup_addresses') as index`);
  assert(row, 'a sequence has a next value');
  return Number(row.index);
}
