import type { TransferId } from '../../kernel/ids.ts';
import type { Currency } from '../../kernel/money.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Code } from './account.ts';
import type { Command } from './command.ts';

export type Outcome = 'done' | 'replayed' | 'unaffordable' | 'conflict' | 'not_found' | 'out_of_range';
/** What became of a command. `posted` and `released` are of a hold that was resolved. */
export type Result = { outcome: Outcome; posted: bigint | null; released: bigint | null };

/** Carries out commands in their order, in one round trip. Each has its own result. */
export function apply(db: Db, commands: readonly Command[]): Promise<Result[]> {
  const legs = commands.flatMap((command) => command.legs);
  const counted = commands.map((command) => ({ ...command, legs: command.legs.length }));
  return db.query<Result>(`select * from ledger_apply($1, $2)`, [JSON.stringify(counted), JSON.stringify(legs)]);
}

/** False where the account is open with another floor. */
export async function open(tx: Tx, code: Code, floor: bigint | null): Promise<boolean> {
  const [row] = await tx.query<{ open: boolean }>(`select ledger_open($1, $2) as open`, [code, floor]);
  return row?.open === true;
}

export type BalanceRow = { posted: bigint; held: bigint };

export async function findBalance(db: Db, code: Code): Promise<BalanceRow | undefined> {
  const [row] = await db.query<BalanceRow>(`select posted, held from ledger_accounts where code = $1`, [code]);
  return row;
}

export const findBalances = (db: Db, codes: readonly Code[]): Promise<(BalanceRow & { code: Code })[]> =>
  db.query(`select code, posted, held from ledger_accounts where code = any ($1)`, [codes]);

export type StatementRow = {
  transfer_id: TransferId;
  seq: bigint;
  type: string;
  description: string;
  available_delta: bigint;
  available_after: bigint;
  at: Date;
};

/** What changed the available balance, newest first. */
export const newestChanges = (
  db: Db,
  code: Code,
  page: { limit: number; before: bigint | undefined; offset?: number },
): Promise<StatementRow[]> =>
  db.query<StatementRow>(
    `select e.transfer_id, e.seq, coalesce(e.type, t.type) as type, t.description, e.available_delta, e.available_after, t.at
       from ledger_accounts a
       join ledger_entries e on e.account_id = a.id
       join ledger_transfers t on t.id = e.transfer_id
      where a.code = $1 and e.available_delta <> 0 and ($2::bigint is null or e.seq < $2)
      order by e.seq desc
      limit $3 offset $4`,
    [code, page.before ?? null, page.limit, page.offset ?? 0],
  );

/**
 * Everything that an account's entries sum to, at one moment. What came to it from anywhere but our revenue was
 * deposited; what came from there is a price given back.
 */
export type SumsRow = {
  available: bigint;
  deposited: string;
  changes: bigint;
  last_seq: bigint;
  changed_at: Date | null;
};

export async function findSums(db: Db, code: Code): Promise<SumsRow | undefined> {
  const [row] = await db.query<SumsRow>(
    `select a.posted - a.held as available, s.deposited::text, s.changes, a.entries as last_seq, t.at as changed_at
       from ledger_accounts a
       left join ledger_entries newest on newest.account_id = a.id and newest.seq = a.entries
       left join ledger_transfers t on t.id = newest.transfer_id
      cross join lateral (
        select count(*) filter (where e.available_delta <> 0) as changes,
               coalesce(sum(e.posted_delta) filter (where e.posted_delta > 0 and not exists (
                 select from ledger_entries o join ledger_accounts r on r.id = o.account_id
                  where o.transfer_id = e.transfer_id and r.kind = 'revenue')), 0) as deposited
          from ledger_entries e where e.account_id = a.id) s
      where a.code = $1`,
    [code],
  );
  return row;
}

export async function dueHolds(db: Db, now: Date, limit: number): Promise<TransferId[]> {
  const rows = await db.query<{ id: TransferId }>(
    `select id from ledger_holds where state = 'pending' and expires_at <= $1 order by expires_at limit $2`,
    [now, limit],
  );
  return rows.map((row) => row.id);
}

/** What one transfer did to one account. */
export type MovementRow = {
  transfer_id: TransferId;
  account: Code;
  type: string;
  description: string;
  posted_delta: bigint;
  posted_after: bigint;
  at: Date;
};

/** Everything that transfers through an account moved, there and elsewhere, in the order of its own entries. */
export const movementsThrough = (db: Db, code: Code, limit: number): Promise<MovementRow[]> =>
  db.query<MovementRow>(
    `select t.id as transfer_id, o.code as account, coalesce(l.type, t.type) as type, t.description, l.posted_delta, l.posted_after, t.at
       from ledger_accounts a
       join ledger_entries e on e.account_id = a.id
       join ledger_transfers t on t.id = e.transfer_id
       join ledger_entries l on l.transfer_id = t.id
       join ledger_accounts o on o.id = l.account_id
      where a.code = $1 and l.posted_delta <> 0
      order by e.seq, l.posted_delta, o.code
      limit $2`,
    [code, limit],
  );

/** Everything that came to an account by entries of these types. */
export async function sumReceived(db: Db, code: Code, types: readonly string[]): Promise<bigint> {
  const [row] = await db.query<{ sum: string }>(
    `select coalesce(sum(e.posted_delta), 0)::text as sum
       from ledger_accounts a
       join ledger_entries e on e.account_id = a.id
       join ledger_transfers t on t.id = e.transfer_id
      where a.code = $1 and e.posted_delta > 0 and coalesce(e.type, t.type) = any ($2)`,
    [code, types],
  );
  return BigInt(row?.sum ?? 0);
}

/** What all accounts of one kind (`wallet`, `mint`, `revenue`) have posted together. */
export type Total = { currency: Currency; kind: string; posted: bigint };

export async function totals(db: Db): Promise<Total[]> {
  const rows = await db.query<Omit<Total, 'posted'> & { posted: string }>(
    `select currency, kind, sum(posted)::text as posted from ledger_accounts group by currency, kind order by currency, kind`,
  );
  return rows.map(({ currency, kind, posted }) => ({ currency, kind, posted: BigInt(posted) }));
}

/** One entry of the books, with the account on the other side that moved most. */
export type JournalRow = {
  transfer_id: TransferId;
  seq: bigint;
  account: Code;
  counterparty: Code | null;
  type: string;
  description: string;
  metadata: Record<string, unknown>;
  posted_delta: bigint;
  posted_after: bigint;
  at: Date;
};

export type JournalQuery = { currency: Currency; account?: Code | undefined; type?: string | undefined; limit: number };

/** What was booked in one currency, newest first. */
export const newestEntries = (db: Db, { currency, account, type, limit }: JournalQuery): Promise<JournalRow[]> =>
  db.query<JournalRow>(
    `select e.transfer_id, e.seq, a.code as account, coalesce(e.type, t.type) as type, t.description, t.metadata,
            e.posted_delta, e.posted_after, t.at,
            (select o.code from ledger_entries other join ledger_accounts o on o.id = other.account_id
              where other.transfer_id = e.transfer_id and other.account_id <> e.account_id
              order by abs(other.posted_delta) desc, o.id limit 1) as counterparty
       from ledger_entries e
       join ledger_accounts a on a.id = e.account_id
       join ledger_transfers t on t.id = e.transfer_id
      where a.currency = $1 and e.posted_delta <> 0
        and ($2::text is null or a.code = $2)
        and ($3::text is null or coalesce(e.type, t.type) = $3)
      order by t.at desc, t.id desc, e.posted_delta
      limit $4`,
    [currency, account ?? null, type ?? null, limit],
  );
