import type { Tx } from '../../platform/db.ts';

/** Rows that workers bring to where they say that things are: one of any number of workers has a row at a time. */
export type Claimable<Id, Item> = {
  /** One of any number of callers gets one of which something is to be done, for so long. */
  claim(tx: Tx, id: Id, claim: string, forMs: number): Promise<Item | undefined>;
  stay(tx: Tx, id: Id, claim: string, forMs: number): Promise<void>;
  letGo(tx: Tx, id: Id, claim: string): Promise<void>;
  /** What nobody has worked on for so long: whoever was to do it is dead, or failed. Whoever asks has it for as long again. */
  takeLeft(tx: Tx, olderThanMs: number, limit: number): Promise<Id[]>;
};

const NOW = 'clock_timestamp()';
const ahead = (parameter: string): string => `${NOW} + ${parameter} * interval '1 millisecond'`;
const FREE = `(claimed_until is null or claimed_until < ${NOW})`;

/**
 * Over a table with `claim`, `claimed_until` and `touched_at`, by the database's own clock, because the platform's can be
 * moved. `unsettled` says of which rows something is to be done, `rested` which of them may be taken up yet; `read`
 * answers what a query finds.
 */
export const claimable = <Id extends string, Item>(
  { table, unsettled, rested = 'true' }: { table: 'servers' | 'backups'; unsettled: string; rested?: string },
  read: (tx: Tx, query: string, values: unknown[]) => Promise<Item | undefined>,
): Claimable<Id, Item> => ({
  claim: (tx, id, claim, forMs) =>
    read(
      tx,
      `update ${table} set claim = $2, claimed_until = ${ahead('$3')}, touched_at = ${NOW}
        where id = $1 and ${unsettled} and ${FREE}
        returning *`,
      [id, claim, forMs],
    ),
  stay: async (tx, id, claim, forMs) =>
    void (await tx.query(`update ${table} set claimed_until = ${ahead('$3')} where id = $1 and claim = $2`, [
      id,
      claim,
      forMs,
    ])),
  letGo: async (tx, id, claim) =>
    void (await tx.query(
      `update ${table} set claim = null, claimed_until = null, touched_at = ${NOW} where id = $1 and claim = $2`,
      [id, claim],
    )),
  takeLeft: async (tx, olderThanMs, limit) =>
    (
      await tx.query<{ id: Id }>(
        `update ${table} set touched_at = ${NOW}
          where id in (select id from ${table}
                        where ${unsettled} and touched_at < ${ahead('-$1::double precision')} and ${rested} and ${FREE}
                        order by touched_at
                        limit $2
                          for update skip locked)
          returning id`,
        [olderThanMs, limit],
      )
    ).map(({ id }) => id),
});
