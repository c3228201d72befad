import type { NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Db } from '../../../platform/db.ts';

/** What a node has done on the grid, as its reputation sees it. Shadow tasks count for nothing. */
export type Standing = {
  /** Settled escrows in which it was the seller, and the buyer. */
  sold: number;
  bought: number;
  /** Different nodes that it has sold to, and bought from. */
  buyers: number;
  sellers: number;
  /** Of all its settled escrows. */
  volume: Tck;
  /**
   * Its tasks as a seller that are disputed, or whose dispute the operator has decided against it, and all that it has
   * delivered but what went back by a rule.
   */
  disputed: number;
  sellerTasks: number;
  /** Settled escrows with the one node that it has most to do with. */
  largestShare: number;
  firstSoldAt: Date | undefined;
  lastSettledAt: Date | undefined;
};

type StandingRow = {
  node_id: NodeId;
  sold: number;
  bought: number;
  buyers: number;
  sellers: number;
  volume: bigint;
  disputed: number;
  seller_tasks: number;
  largest_share: number;
  first_sold_at: Date | null;
  last_settled_at: Date | null;
};

const standingOf = (row: StandingRow): Standing => ({
  sold: row.sold,
  bought: row.bought,
  buyers: row.buyers,
  sellers: row.sellers,
  volume: tck(row.volume),
  disputed: row.disputed,
  sellerTasks: row.seller_tasks,
  largestShare: row.largest_share,
  firstSoldAt: row.first_sold_at ?? undefined,
  lastSettledAt: row.last_settled_at ?? undefined,
});

/** Of a task `t` that has money: the operator gave it back, and so said that whoever objected was right. */
const LOST = `(t.status = 'REFUNDED' and exists (
  select from grid_escrows lost where lost.id = t.escrow_id and lost.reason = 'MANUAL_RESOLUTION'))`;
export const STANDS_DISPUTED = `(t.status = 'DISPUTED' or ${LOST})`;
export const DELIVERED = `(t.status in ('COMPLETED', 'DISPUTED', 'SETTLED') or ${LOST})`;

/** The standing of each of these nodes. */
export async function standings(db: Db, ids: readonly NodeId[]): Promise<Map<NodeId, Standing>> {
  const rows = await db.query<StandingRow>(
    `with asked as (select unnest($1::text[]) as node_id),
     deals as (
       select a.node_id, e.buyer_id as other, 'sold' as side, e.amount, e.settled_at
         from asked a join grid_escrows e on e.seller_id = a.node_id and e.state = 'SETTLED'
       union all
       select a.node_id, e.seller_id, 'bought', e.amount, e.settled_at
         from asked a join grid_escrows e on e.buyer_id = a.node_id and e.state = 'SETTLED'
     ),
     partners as (select node_id, max(count) as most from (
       select node_id, count(*) as count from deals group by node_id, other) counted group by node_id),
     work as (
       select a.node_id, count(*) as delivered, count(*) filter (where ${STANDS_DISPUTED}) as disputed
         from asked a join grid_tasks t on t.seller_id = a.node_id and not t.shadow
        where ${DELIVERED}
        group by a.node_id
     )
     select a.node_id,
            count(d.*) filter (where d.side = 'sold')::int as sold,
            count(d.*) filter (where d.side = 'bought')::int as bought,
            count(distinct d.other) filter (where d.side = 'sold')::int as buyers,
            count(distinct d.other) filter (where d.side = 'bought')::int as sellers,
            coalesce(sum(d.amount), 0)::bigint as volume,
            coalesce(max(w.disputed), 0)::int as disputed,
            coalesce(max(w.delivered), 0)::int as seller_tasks,
            coalesce(max(p.most), 0)::int as largest_share,
            min(d.settled_at) filter (where d.side = 'sold') as first_sold_at,
            max(d.settled_at) as last_settled_at
       from asked a
       left join deals d on d.node_id = a.node_id
       left join partners p on p.node_id = a.node_id
       left join work w on w.node_id = a.node_id
      group by a.node_id`,
    [ids],
  );
  return new Map(rows.map((row) => [row.node_id, standingOf(row)]));
}
