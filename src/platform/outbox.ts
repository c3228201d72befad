import { newId, type Op } from '../kernel/op.ts';
import type { AccountId } from '../kernel/ids.ts';
import type { Database, Db, Tx } from './db.ts';

/** Something that happened. `type` reads as noun and past participle: `task.completed`. */
export type NewFact = {
  type: string;
  subject: string;
  accountId?: AccountId | null;
  data: Record<string, unknown>;
};

export type Fact = {
  seq: bigint;
  id: string;
  at: Date;
  type: string;
  subject: string;
  accountId: AccountId | null;
  data: Record<string, unknown>;
};

type FactRow = {
  seq: bigint;
  id: string;
  at: Date;
  type: string;
  subject: string;
  account_id: AccountId | null;
  data: Record<string, unknown>;
};

/** Facts that a follower is handed at once at the most. */
const BATCH = 250;

/** Writes a fact in the transaction of the change that it tells of. */
export const recordFact = (tx: Tx, op: Op, fact: NewFact): Promise<void> => recordFacts(tx, op, [fact]);

/** Writes facts, in this order and in one statement. */
export async function recordFacts(tx: Tx, op: Op, facts: readonly NewFact[]): Promise<void> {
  if (facts.length === 0) return;
  const rows = facts.map((fact) => ({
    id: newId(op, 'fact', `${fact.type}:${fact.subject}`),
    type: fact.type,
    subject: fact.subject,
    account_id: fact.accountId ?? null,
    data: fact.data,
  }));
  await tx.query(
    `insert into facts (id, at, type, subject, account_id, request_id, data)
     select f.id, $2, f.type, f.subject, f.account_id, $3, f.data
       from jsonb_to_recordset($1) as f (id text, type text, subject text, account_id uuid, data jsonb)`,
    [JSON.stringify(rows), op.now, op.requestId],
  );
}

export type FactSpan = {
  /** From the oldest on, or from the newest back. */
  order: 'asc' | 'desc';
  /** The first one at this time or later, or earlier in the other order. */
  from?: Date | undefined;
  limit: number;
};

/** What happened to one thing. */
export async function factsAbout(db: Db, subject: string, { order, from, limit }: FactSpan): Promise<Fact[]> {
  const rows = await db.query<FactRow>(
    `select seq, id, at, type, subject, account_id, data
       from facts
      where subject = $1 and ($2::timestamptz is null or ${order === 'asc' ? 'at >= $2' : 'at <= $2'})
      order by seq ${order}
      limit $3`,
    [subject, from ?? null, limit],
  );
  return rows.map(present);
}

/**
 * Hands the next facts to `handle`, in order, in one transaction with the follower's cursor: what `handle` writes and
 * how far the follower has come are kept together or not at all. Answers how many facts were taken; 0 also when
 * another process is following right now.
 */
export const followFacts = (
  db: Database,
  follower: string,
  handle: (tx: Tx, fact: Fact) => Promise<void>,
): Promise<number> =>
  followFactBatches(db, follower, async (tx, facts) => {
    for (const fact of facts) await handle(tx, fact);
  });

/** As `followFacts`, with as many facts at once as there are, within a limit. */
export function followFactBatches(
  db: Database,
  follower: string,
  handle: (tx: Tx, facts: readonly Fact[]) => Promise<void>,
): Promise<number> {
  return db.transact(async (tx) => {
    await tx.query(`insert into fact_cursors (follower) values ($1) on conflict do nothing`, [follower]);
    const [cursor] = await tx.query<{ xid: string; seq: bigint }>(
      `select xid::text, seq from fact_cursors where follower = $1 for update skip locked`,
      [follower],
    );
    if (!cursor) return 0;
    const rows = await nextFacts(tx, cursor);
    if (rows.length > 0) await handle(tx, rows.map(present));
    const last = rows.at(-1);
    if (last)
      await tx.query(`update fact_cursors set xid = $2::xid8, seq = $3 where follower = $1`, [
        follower,
        last.xid,
        last.seq,
      ]);
    return rows.length;
  });
}

const nextFacts = (tx: Tx, after: { xid: string; seq: bigint }): Promise<(FactRow & { xid: string })[]> =>
  tx.query(
    `select seq, id, at, type, subject, account_id, data, xid::text
       from facts
      where (xid, seq) > ($1::xid8, $2) and xid < pg_snapshot_xmin(pg_current_snapshot())
      order by facts.xid, facts.seq
      limit ${BATCH}`,
    [after.xid, after.seq],
  );

const present = (row: FactRow): Fact => ({
  seq: row.seq,
  id: row.id,
  at: row.at,
  type: row.type,
  subject: row.subject,
  accountId: row.account_id,
  data: row.data,
});
