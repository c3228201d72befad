import type { NodeId } from '../../../kernel/ids.ts';
import { tck } from '../../../kernel/money.ts';
import type { Db } from '../../../platform/db.ts';
import { NO_STANDING, type Standing, type Standings } from './standing.ts';

type Row = {
  node_id: NodeId;
  sold: bigint;
  bought: bigint;
  buyers: bigint;
  sellers: bigint;
  volume: string;
  disputed: bigint;
  seller_tasks: bigint;
  largest_share: bigint;
  last_settled_at: Date | null;
  first_sold_at: Date | null;
};

/** The standings of nodes, all at one moment. Every one that is asked for is answered. */
export async function findStandings(db: Db, nodes: readonly NodeId[]): Promise<Standings> {
  const rows = await db.query<Row>(
    `with trades as (
       select n.id as node_id, e.seller_id = n.id as sold, e.amount, e.settled_at,
              case when e.seller_id = n.id then e.buyer_id else e.seller_id end as other
         from unnest($1::text[]) as n (id)
         join grid_escrows e on (e.seller_id = n.id or e.buyer_id = n.id) and e.state = 'SETTLED'
     ), shares as (
       select node_id, max(times) as largest
         from (select node_id, count(*) as times from trades group by node_id, other) by_other group by node_id
     ), sums as (
       select node_id, count(*) filter (where sold) as sold, count(*) filter (where not sold) as bought,
              count(distinct other) filter (where sold) as buyers, count(distinct other) filter (where not sold) as sellers,
              sum(amount)::text as volume, max(settled_at) as last_settled_at,
              min(settled_at) filter (where sold) as first_sold_at
         from trades group by node_id
     )
     select n.id as node_id, coalesce(s.sold, 0) as sold, coalesce(s.bought, 0) as bought, coalesce(s.buyers, 0) as buyers,
            coalesce(s.sellers, 0) as sellers, coalesce(s.volume, '0') as volume, coalesce(h.largest, 0) as largest_share,
            s.last_settled_at, s.first_sold_at,
            (select count(*) from grid_escrows e where e.seller_id = n.id and e.state = 'DISPUTED') as disputed,
            (select count(*) from grid_tasks t
              where t.seller_id = n.id and t.completed_at is not null and not t.shadow) as seller_tasks
       from unnest($1::text[]) as n (id)
       left join sums s on s.node_id = n.id
       left join shares h on h.node_id = n.id`,
    [nodes],
  );
  return new Map(rows.map((row) => [row.node_id, standingOf(row)]));
}

export const findStanding = async (db: Db, node: NodeId): Promise<Standing> =>
  (await findStandings(db, [node])).get(node) ?? NO_STANDING;

const standingOf = (row: Row): Standing => ({
  sold: Number(row.sold),
  bought: Number(row.bought),
  buyers: Number(row.buyers),
  sellers: Number(row.sellers),
  volume: tck(BigInt(row.volume)),
  disputed: Number(row.disputed),
  sellerTasks: Number(row.seller_tasks),
  largestShare: Number(row.largest_share),
  lastSettledAt: row.last_settled_at ?? undefined,
  firstSoldAt: row.first_sold_at ?? undefined,
});
