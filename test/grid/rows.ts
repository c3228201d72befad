import type { Db, Tx } from '../../src/platform/db.ts';
import type { TestApis } from '../harness/apis.ts';

/** How many rows of these tables `work` reads, however it finds them. */
export const rowsReadBy = ({ db }: TestApis, tables: string[], work: (tx: Tx) => Promise<unknown>): Promise<number> =>
  db.transact(async (tx) => {
    const before = await rowsRead(tx, tables);
    await work(tx);
    return (await rowsRead(tx, tables)) - before;
  });

async function rowsRead(tx: Db, tables: string[]): Promise<number> {
  const [row] = await tx.query<{ read: bigint }>(
    `select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint as read
       from pg_stat_xact_user_tables where relname = any ($1)`,
    [tables],
  );
  return Number(row?.read ?? 0n);
}
