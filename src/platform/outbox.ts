import { newId, type Op } from '../kernel/op.ts';
import type { AccountId } from '../kernel/ids.ts';
import { isDatabaseAway, sqlState, type Database, type Db, type Tx } from './db.ts';

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
 * another process is following right now. Where `missed` is given, a fact that cannot be handled is told to it and
 * tried again later, and those behind it do not wait; else all of them do.
 */
export const followFacts = (
  db: Database,
  follower: string,
  handle: Handle,
  missed?: (fact: Fact, error: unknown) => void,
): Promise<number> =>
  following(db, follower, async (tx, facts) => {
    const again = missed ? await takeMissed(tx, follower, handle, missed) : 0;
    for (const fact of facts) {
      const failure = missed ? await apart(tx, () => handle(tx, fact)) : await handle(tx, fact);
      if (!failure) continue;
      const note = `insert into facts_missed (follower, seq, next_at) values ($1, $2, ${LATER})`;
      await tx.query(note, [follower, fact.seq]);
      missed?.(fact, failure.error);
    }
    return again;
  });

/** As `followFacts`, with as many facts at once as there are, within a limit. */
export const followFactBatches = (
  db: Database,
  follower: string,
  handle: (tx: Tx, facts: readonly Fact[]) => Promise<void>,
): Promise<number> =>
  following(db, follower, async (tx, facts) => {
    if (facts.length > 0) await handle(tx, facts);
    return 0;
  });

/** `take` answers how many facts it took beside the next ones. */
function following(
  db: Database,
  follower: string,
  take: (tx: Tx, facts: readonly Fact[]) => Promise<number>,
): Promise<number> {
  return db.transact(async (tx) => {
    await tx.query(`insert into fact_cursors (follower) values ($1) on conflict do nothing`, [follower]);
    const [cursor] = await tx.query<{ xid: string; seq: bigint }>(
      `select xid::text, seq from fact_cursors where follower = $1 for update skip locked`,
      [follower],
    );
    if (!cursor) return 0;
    const rows = await nextFacts(tx, cursor);
    const beside = await take(tx, rows.map(present));
    const last = rows.at(-1);
    if (last)
      await tx.query(`update fact_cursors set xid = $2::xid8, seq = $3 where follower = $1`, [
        follower,
        last.xid,
        last.seq,
      ]);
    return beside + rows.length;
  });
}

type Handle = (tx: Tx, fact: Fact) => Promise<void>;

/** By the database's own clock; the more often it failed, the later. */
const LATER = `clock_timestamp() + interval '5 seconds'`;
const STILL_LATER = `clock_timestamp() + least(tries, 60) * interval '10 seconds'`;
const RETRIED = new Set(['40001', '40P01']);

async function takeMissed(
  tx: Tx,
  follower: string,
  handle: Handle,
  missed: (fact: Fact, error: unknown) => void,
): Promise<number> {
  const rows = await tx.query<FactRow>(
    `select facts.seq, id, at, type, subject, account_id, data from facts_missed join facts using (seq)
      where follower = $1 and next_at <= clock_timestamp() order by next_at limit ${BATCH}`,
    [follower],
  );
  let taken = 0;
  for (const fact of rows.map(present)) {
    const failure = await apart(tx, () => handle(tx, fact));
    if (failure) missed(fact, failure.error);
    else taken++;
    const note = failure
      ? `update facts_missed set tries = tries + 1, next_at = ${STILL_LATER} where follower = $1 and seq = $2`
      : `delete from facts_missed where follower = $1 and seq = $2`;
    await tx.query(note, [follower, fact.seq]);
  }
  return taken;
}

/** Does a part of a transaction wholly or not at all. What says nothing of the part itself is thrown. */
async function apart(tx: Tx, work: () => Promise<void>): Promise<{ error: unknown } | undefined> {
  await tx.query('savepoint apart');
  try {
    await work();
    await tx.query('release savepoint apart');
    return undefined;
  } catch (error) {
    if (isDatabaseAway(error) || RETRIED.has(sqlState(error))) throw error;
    await tx.query('rollback to savepoint apart');
    return { error };
  }
}

/**
 * The oldest transaction that may still bring a fact before those of younger ones. One that is in progress in another
 * database of the same PostgreSQL brings none: an operator's other programs may be at theirs for hours. Of one that has
 * ended since the snapshot nobody knows any more whose it was, so it counts; and so does our own.
 */
const OLDEST_OPEN = `
  select min(xid) from (
    select pg_snapshot_xmax(pg_current_snapshot()) as xid
     union all
    select pg_current_xact_id_if_assigned()
     union all
    select xid from pg_snapshot_xip(pg_current_snapshot()) as xid
     where not exists (select from pg_stat_activity where backend_xid = xid::xid
                          and datid <> (select oid from pg_database where datname = current_database()))) open`;

const nextFacts = (tx: Tx, after: { xid: string; seq: bigint }): Promise<(FactRow & { xid: string })[]> =>
  tx.query(
    `select seq, id, at, type, subject, account_id, data, xid::text
       from facts
      where (xid, seq) > ($1::xid8, $2) and xid < (${OLDEST_OPEN})
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
