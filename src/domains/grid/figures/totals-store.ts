import { tck, type Tck } from '../../../kernel/money.ts';
import type { Db, Tx } from '../../../platform/db.ts';

/** How many there are, and what they are about. */
export type Sum = { count: number; amount: Tck };
/** `via`: tasks by the way by which they came. */
export type Kind = 'escrow' | 'task' | 'bounty' | 'via';
/** By kind and by state, or way. What there is none of is not in it. */
export type Totals = Record<Kind, Map<string, Sum>>;

/**
 * What ended between two times, and what was ordered. An escrow ends once, and its task with it; of those that are given
 * back the decision knows when. Every part is found by an index over time.
 */
const happened = (from: string, to: string): string => `
  over as (
    select 'SETTLED' as state, e.id, e.amount from grid_escrows e
     where not e.sandbox and e.settled_at >= ${from} and e.settled_at < ${to}
    union all
    select 'REFUNDED', e.id, e.amount from grid_decisions d join grid_escrows e on e.id = d.escrow_id
     where d.action = 'AUTO_REFUND' and not e.sandbox and d.created_at >= ${from} and d.created_at < ${to}),
  happened as (
    select 'escrow' as kind, state as name, count(*) as count, sum(amount)::bigint as amount from over group by state
    union all
    select 'task', o.state, count(*), 0 from over o join grid_tasks t on t.escrow_id = o.id group by o.state
    union all
    select 'bounty', b.state, count(*), sum(b.reward)::bigint from grid_bounties b
     where not b.sandbox and b.ended_at >= ${from} and b.ended_at < ${to} group by b.state
    union all
    select 'via', t.via, count(*), 0 from grid_tasks t join grid_nodes n on n.id = t.buyer_id
     where not t.shadow and not n.sandbox and t.created_at >= ${from} and t.created_at < ${to} group by t.via)`;

/** What is not over: each state by its own index. */
const LIVE = `
  live as (
    select state, id, amount from grid_escrows where state = 'PENDING' and not sandbox
    union all
    select state, id, amount from grid_escrows where state = 'AWAITING_SETTLEMENT' and not sandbox
    union all
    select state, id, amount from grid_escrows where state = 'DISPUTED' and not sandbox)`;

const UNTIL = `(select at from grid_totals_until)`;

/** One statement, so that what is being added up meanwhile is in it once. */
const READ = `
  with ${happened(UNTIL, `'infinity'`)}, ${LIVE}
  select kind, name, sum(count)::bigint as count, sum(amount)::bigint as amount from (
    select kind, name, count, amount from grid_totals
    union all
    select kind, name, count, amount from happened
    union all
    select 'escrow', state, count(*), sum(amount)::bigint from live group by state
    union all
    select 'task', t.status, count(*), 0 from live l join grid_tasks t on t.escrow_id = l.id group by t.status
    union all
    select 'bounty', 'open', count(*), coalesce(sum(reward), 0)::bigint from grid_bounties where state = 'open' and not sandbox
  ) parts group by kind, name order by kind, name`;

type Row = { kind: Kind; name: string; count: bigint; amount: bigint };

/** How everything stands. Costs as much as there is that is not over, and what has happened since it was last added up. */
export async function readTotals(db: Db): Promise<Totals> {
  const totals: Totals = { escrow: new Map(), task: new Map(), bounty: new Map(), via: new Map() };
  for (const { kind, name, count, amount } of await db.query<Row>(READ))
    if (count > 0n) totals[kind].set(name, { count: Number(count), amount: tck(amount) });
  return totals;
}

/** Adds up what happened before a time. What is before that and is not written down yet is never counted. */
export async function addUpBefore(tx: Tx, time: Date): Promise<void> {
  // Of two the second waits here, and then sees what the first has added up.
  await tx.query(`select from grid_totals_until for update`);
  await tx.query(
    `with ${happened(UNTIL, '$1')}
     insert into grid_totals (kind, name, count, amount) select kind, name, count, amount from happened
     on conflict (kind, name) do update
       set count = grid_totals.count + excluded.count, amount = grid_totals.amount + excluded.amount`,
    [time],
  );
  await tx.query(`update grid_totals_until set at = $1 where at < $1`, [time]);
}
