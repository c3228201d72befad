import { CURRENCY_SCALE, type Currency } from '../../kernel/money.ts';
import type { Db } from '../../platform/db.ts';

/** A claim of the ledger that does not hold, and where. */
export type Discrepancy = { claim: string; where: string; expected: string; found: string };

export type Proof = {
  valid: boolean;
  sumOfBalances: bigint;
  sumOfHolds: bigint;
  entriesChecked: bigint;
  discrepancies: Discrepancy[];
};

/** Discrepancies that one proof lists at the most. */
const MAX_LISTED = 100;

/** What the claims are about. */
const SUBJECTS = `
sums as (
  select e.account_id, count(*) as entries, sum(e.posted_delta) as posted, sum(e.available_delta) as available
    from ledger_entries e group by e.account_id
), pending as (
  select from_account as account_id, sum(amount) as held from ledger_holds where state = 'pending' group by from_account
), accounts as (
  select a.*, coalesce(s.entries, 0) as counted, coalesce(s.posted, 0) as posted_sum,
         coalesce(s.available, 0) as available_sum, coalesce(p.held, 0) as held_sum
    from ledger_accounts a left join sums s on s.account_id = a.id left join pending p on p.account_id = a.id
), chained as (
  select e.*, a.code || ' #' || e.seq as place, a.currency,
         lag(e.seq, 1, 0) over w as seq_before, lag(e.posted_after, 1, 0) over w as posted_before,
         lag(e.available_after, 1, 0) over w as available_before
    from ledger_entries e join ledger_accounts a on a.id = e.account_id
  window w as (partition by e.account_id order by e.seq)
), holds as (
  select h.*, f.currency, r.currency as to_currency, coalesce(h.posted_amount, 0) as moved, t.kind as ended_kind,
         taken.available_delta as taken_available, taken.posted_delta as taken_posted,
         ended.available_delta as ended_available, ended.posted_delta as ended_posted, paid.posted_delta as paid
    from ledger_holds h
    left join ledger_accounts f on f.id = h.from_account
    left join ledger_accounts r on r.id = h.to_account
    left join ledger_transfers t on t.id = h.resolved_by
    left join ledger_entries taken on taken.transfer_id = h.id and taken.account_id = h.from_account
    left join ledger_entries ended on ended.transfer_id = h.resolved_by and ended.account_id = h.from_account
    left join ledger_entries paid on paid.transfer_id = h.resolved_by and paid.account_id = h.to_account
), transfers as (
  select t.*, (select count(*) from ledger_entries e where e.transfer_id = t.id) as entries,
         exists (select from ledger_holds h where h.id = t.id) as took,
         exists (select from ledger_holds h where h.resolved_by = t.id) as ended
    from ledger_transfers t
)`;

/** Each row says: this claim, at this place, should be this and is that. Without a currency it counts in each. */
const CLAIMS = `
  select currency, 'a balance is the sum of its entries', code, posted_sum::text, posted::text from accounts
  union all select currency, 'what is held is the sum of the pending holds', code, held_sum::text, held::text from accounts
  union all select currency, 'what is available is what its entries say', code, available_sum::text, (posted - held)::text from accounts
  union all select currency, 'an account counts its entries', code, counted::text, entries::text from accounts
  union all select currency, 'available is never below the floor', code, greatest(posted - held, floor)::text, (posted - held)::text from accounts
  union all select currency, 'entries follow each other without a gap', place, (seq_before + 1)::text, seq::text from chained
  union all select currency, 'a running balance is the one before plus the change', place, (posted_before + posted_delta)::text, posted_after::text from chained
  union all select currency, 'a running available balance is the one before plus the change', place, (available_before + available_delta)::text, available_after::text from chained
  union all select currency, 'the legs of a transfer sum to zero', transfer_id::text, '0', sum(posted_delta)::text from chained group by currency, transfer_id
  union all select currency, 'all balances sum to zero', currency, '0', sum(posted)::text from ledger_accounts group by currency
  union all select currency, 'a hold is between accounts of one currency', id::text, currency, to_currency from holds
  union all select currency, 'a hold is what its transfer put aside', id::text, (-amount)::text, taken_available::text from holds
  union all select currency, 'taking a hold moves nothing', id::text, '0', taken_posted::text from holds
  union all select currency, 'a hold ended as its transfer says', id::text,
                   case state when 'posted' then 'post' when 'voided' then 'void' when 'expired' then 'expire' end, ended_kind from holds
  union all select currency, 'the end of a hold gives back the rest', id::text, (amount - moved)::text, ended_available::text
              from holds where state <> 'pending'
  union all select currency, 'the end of a hold takes what it posted', id::text, (-moved)::text, ended_posted::text from holds where state <> 'pending'
  union all select currency, 'the end of a hold pays what it posted', id::text, nullif(moved, 0)::text, paid::text from holds where state <> 'pending'
  union all select null, 'an entry is of an account', e.transfer_id::text, e.account_id::text, a.id::text
              from ledger_entries e left join ledger_accounts a on a.id = e.account_id
  union all select null, 'an entry is of a transfer', e.account_id || ' #' || e.seq, e.transfer_id::text, t.id::text
              from ledger_entries e left join ledger_transfers t on t.id = e.transfer_id
  union all select null, 'a transfer has entries', id::text, greatest(entries, 1)::text, entries::text from transfers
  union all select null, 'a hold is there if its transfer is', id::text, (kind = 'hold')::text, took::text from transfers
  union all select null, 'a hold has ended if a transfer ended it', id::text, (kind in ('post', 'void', 'expire'))::text, ended::text from transfers`;

/** One statement sees one moment of the whole ledger, so the proof holds under load too. */
const PROOF = `
with ${SUBJECTS}, claims (currency, claim, place, expected, found) as (${CLAIMS}
), totals as (
  select currency, sum(posted) as balances, sum(held) as holds, sum(counted) as entries from accounts group by currency
)
select c.currency, coalesce(t.balances, 0)::text as sum_of_balances, coalesce(t.holds, 0)::text as sum_of_holds,
       coalesce(t.entries, 0)::text as entries_checked,
       (select coalesce(jsonb_agg(jsonb_build_object('claim', d.claim, 'where', d.place,
                                                     'expected', coalesce(d.expected, 'nothing'), 'found', coalesce(d.found, 'nothing'))), '[]')
          from (select * from claims d
                 where (d.currency = c.currency or d.currency is null) and d.expected is distinct from d.found
                 limit ${MAX_LISTED}) d) as discrepancies
  from unnest($1::text[]) as c (currency) left join totals t on t.currency = c.currency`;

type Row = {
  currency: Currency;
  sum_of_balances: string;
  sum_of_holds: string;
  entries_checked: string;
  discrepancies: Discrepancy[];
};

/** Proves the whole ledger, for each currency, from its entries and holds. */
export async function reconcile(db: Db): Promise<Record<Currency, Proof>> {
  const rows = await db.query<Row>(PROOF, [Object.keys(CURRENCY_SCALE)]);
  return Object.fromEntries(rows.map((row) => [row.currency, proofOf(row)])) as Record<Currency, Proof>;
}

const proofOf = (row: Row): Proof => ({
  valid: row.discrepancies.length === 0,
  sumOfBalances: BigInt(row.sum_of_balances),
  sumOfHolds: BigInt(row.sum_of_holds),
  entriesChecked: BigInt(row.entries_checked),
  discrepancies: row.discrepancies,
});
