import { tck } from '../../../kernel/money.ts';
import type { Db } from '../../../platform/db.ts';
import type { DecidedBy } from '../escrow/decision.ts';
import { NOT_HELD } from '../escrow/hold-store.ts';
import type { Sum } from './totals-store.ts';

type SumRow = { count: number; amount: bigint };
const sumOf = (row: SumRow | undefined): Sum => ({ count: row?.count ?? 0, amount: tck(row?.amount ?? 0n) });

export type Waiting = Sum & {
  /** Since when the first of them is due. */
  since: Date | undefined;
};
type WaitingRow = SumRow & { since: Date | null };
const waitingOf = (row: WaitingRow | undefined): Waiting => ({ ...sumOf(row), since: row?.since ?? undefined });

/** What should have been settled by now, sandbox nodes' escrows too: the same sweep does both. */
export async function dueToSettle(db: Db, now: Date): Promise<Waiting> {
  const [row] = await db.query<WaitingRow>(
    `select count(*)::int as count, coalesce(sum(amount), 0)::bigint as amount, min(settle_at) as since
       from grid_escrows e where state = 'AWAITING_SETTLEMENT' and settle_at <= $1 and ${NOT_HELD}`,
    [now],
  );
  return waitingOf(row);
}

/** What should have been given back by now. */
export async function dueToRefund(db: Db, now: Date): Promise<Waiting> {
  const [row] = await db.query<WaitingRow>(
    `select count(*)::int as count, coalesce(sum(amount), 0)::bigint as amount, min(refund_at) as since
       from grid_escrows e where state = 'PENDING' and refund_at <= $1 and ${NOT_HELD}`,
    [now],
  );
  return waitingOf(row);
}

export type Ruling = { rule: DecidedBy; count: number };

/** What rules, buyers and the operator decided since a time. */
export const rulingsSince = (db: Db, since: Date): Promise<Ruling[]> =>
  db.query<Ruling>(
    `select d.rule, count(*)::int as count
       from grid_decisions d join grid_escrows e on e.id = d.escrow_id
      where not e.sandbox and d.created_at >= $1 group by d.rule order by count(*) desc, d.rule`,
    [since],
  );

/** Since when the longest of the disputes has waited for the operator. */
export async function oldestDispute(db: Db): Promise<Date | undefined> {
  const [row] = await db.query<{ at: Date | null }>(
    `select min(d.at) as at from grid_escrows e
       cross join lateral (select max(created_at) as at from grid_decisions where escrow_id = e.id) d
      where e.state = 'DISPUTED' and not e.sandbox`,
  );
  return row?.at ?? undefined;
}

export type NodeStates = { active: number; banned: number; sandbox: number; founders: number; pioneers: number };

export async function nodeStates(db: Db): Promise<NodeStates> {
  const [row] = await db.query<NodeStates>(
    `select count(*) filter (where active and not sandbox)::int as active,
            count(*) filter (where not active and not sandbox)::int as banned,
            count(*) filter (where active and sandbox)::int as sandbox,
            count(genesis_rank)::int as founders, count(pioneer_rank)::int as pioneers
       from grid_nodes`,
  );
  return row ?? { active: 0, banned: 0, sandbox: 0, founders: 0, pioneers: 0 };
}

/** What nodes that are here offer. */
export async function skillsOnOffer(db: Db): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    `select count(*)::int as count from grid_skills s join grid_nodes n on n.id = s.node_id where n.active and not n.sandbox`,
  );
  return row?.count ?? 0;
}
