import type { Db, Tx } from '../../platform/db.ts';

/** There is one key; a second would have a row of its own. */
const CURRENT = 'current';

export async function findSigningKey(db: Db): Promise<Buffer | undefined> {
  const [row] = await db.query<{ sealed: Buffer }>(`select sealed from grid_signing_keys where id = $1`, [CURRENT]);
  return row?.sealed;
}

/** Keeps a key unless there is one, and answers the one that is kept: of two that make one at once, the first counts. */
export async function insertSigningKey(tx: Tx, sealed: Buffer, at: Date): Promise<Buffer> {
  await tx.query(`insert into grid_signing_keys (id, sealed, created_at) values ($1, $2, $3) on conflict do nothing`, [
    CURRENT,
    sealed,
    at,
  ]);
  return (await findSigningKey(tx)) ?? sealed;
}
