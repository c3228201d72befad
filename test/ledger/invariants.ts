import type { Db } from '../../src/platform/db.ts';

/**
 * What is always true of a ledger: a query for each that finds where it is not. They are written anew here and share
 * nothing with `reconcile`, so that neither can hide a mistake of the other.
 */
const IN_THE_DATABASE = {
  'all balances of a currency sum to zero': `
    select currency from ledger_accounts group by currency having sum(posted) <> 0`,
  'a balance is the sum of its entries': `
    select code from ledger_accounts a
     where posted <> (select coalesce(sum(posted_delta), 0) from ledger_entries e where e.account_id = a.id)`,
  'what is held is the sum of the pending holds': `
    select code from ledger_accounts a
     where held <> (select coalesce(sum(amount), 0) from ledger_holds h where h.from_account = a.id and state = 'pending')`,
  'the newest entry says what is posted and available': `
    select code from ledger_accounts a
      join ledger_entries e on e.account_id = a.id and e.seq = a.entries
     where (e.posted_after, e.available_after) <> (a.posted, a.posted - a.held)`,
  'available is never below the floor, not even for the length of an entry': `
    select code from ledger_accounts a where posted - held < floor
    union all select code from ledger_accounts a join ledger_entries e on e.account_id = a.id where available_after < floor`,
  'the legs of a transfer sum to zero in each currency': `
    select transfer_id::text from ledger_entries e join ledger_accounts a on a.id = e.account_id
     group by transfer_id, currency having sum(posted_delta) <> 0`,
  'entries are numbered without a gap and each continues the one before': `
    select e.transfer_id::text from ledger_entries e
      left join ledger_entries b on b.account_id = e.account_id and b.seq = e.seq - 1
     where e.posted_after <> coalesce(b.posted_after, 0) + e.posted_delta
        or e.available_after <> coalesce(b.available_after, 0) + e.available_delta
        or (b.seq is null and e.seq <> 1)
    union all select code from ledger_accounts a
     where entries <> (select count(*) from ledger_entries e where e.account_id = a.id)`,
  'a hold is resolved once or not at all': `
    select h.id::text from ledger_holds h
     where (state = 'pending') <> (select count(*) = 0 from ledger_transfers t where t.id = h.resolved_by)
        or 0 <> (select sum(e.available_delta - e.posted_delta) from ledger_entries e
                  where e.account_id = h.from_account and e.transfer_id in (h.id, h.resolved_by))
                + case state when 'pending' then amount else 0 end`,
} as const;

/** The two that need a memory: of what was written, and of what a reference model says. */
export const WITH_A_MEMORY = ['what was written stays as it was', 'the ledger is what the model says'] as const;

export const INVARIANTS = [...Object.keys(IN_THE_DATABASE), ...WITH_A_MEMORY];

const BROKEN = Object.entries(IN_THE_DATABASE)
  .map(([name, query]) => `select '${name}' as name, q.place from (${query}) as q (place)`)
  .join(' union all ');

/** Each invariant of the database that does not hold, and where. */
export async function brokenInvariants(db: Db): Promise<string[]> {
  const rows = await db.query<{ name: string; place: string }>(BROKEN);
  return rows.map(({ name, place }) => `${name}: ${place}`);
}

/** Everything that is immutable, a line each. */
export async function written(db: Db): Promise<Set<string>> {
  const rows = await db.query<{ line: string }>(
    `select t::text as line from ledger_transfers t union all select e::text from ledger_entries e
     union all select h::text from ledger_holds h where state <> 'pending'`,
  );
  return new Set(rows.map(({ line }) => line));
}
