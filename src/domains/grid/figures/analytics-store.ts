import type { NodeId } from '../../../kernel/ids.ts';
import { BASIS_POINTS, tck, type Tck } from '../../../kernel/money.ts';
import type { Db } from '../../../platform/db.ts';
import { TAX_BASIS_POINTS } from '../money.ts';
import { dayOf, plusDays, timesOf, type Span } from './day.ts';

/** Figures about the days of a span. Sandbox nodes are in none of them but their own. */

export type NodeFigures = {
  total: number;
  fresh: number;
  sandbox: number;
  freshSandbox: number;
  /** Of these: with whose key a node that trades for real has been registered since. */
  wentOn: number;
  buyers: number;
  sellers: number;
  founders: number;
};

export async function nodeFigures(db: Db, span: Span): Promise<NodeFigures> {
  const { from, to } = timesOf(span);
  const [row] = await db.query<NodeFigures & { freshsandbox: number; wenton: number }>(
    `with opened as (
       select e.buyer_id, e.seller_id from grid_escrows e join grid_nodes b on b.id = e.buyer_id
        where not b.sandbox and e.created_at >= $1 and e.created_at < $2)
     select count(*) filter (where not sandbox)::int as total,
            count(*) filter (where not sandbox and created_at >= $1 and created_at < $2)::int as fresh,
            count(*) filter (where sandbox)::int as sandbox,
            count(*) filter (where sandbox and created_at >= $1 and created_at < $2)::int as freshsandbox,
            count(*) filter (where sandbox and created_at >= $1 and created_at < $2 and exists (
              select from grid_nodes real where real.sandbox_id = grid_nodes.id))::int as wenton,
            count(*) filter (where genesis_rank is not null)::int as founders,
            (select count(distinct buyer_id)::int from opened) as buyers,
            (select count(distinct seller_id)::int from opened) as sellers
       from grid_nodes`,
    [from, to],
  );
  if (!row) throw new Error('a statement without groups has one row');
  const { freshsandbox: freshSandbox, wenton: wentOn, ...rest } = row;
  return { ...rest, freshSandbox, wentOn };
}

const WORK = `grid_tasks t join grid_nodes b on b.id = t.buyer_id
 where not t.shadow and not b.sandbox and t.created_at >= $1 and t.created_at < $2`;

/** Tasks that were ordered, and how many of them have been delivered since, by the way by which they came. */
export async function workByProtocol(
  db: Db,
  span: Span,
): Promise<{ protocol: string; created: number; completed: number }[]> {
  const { from, to } = timesOf(span);
  return db.query(
    `select t.via as protocol, count(*)::int as created, count(t.completed_at)::int as completed
       from ${WORK} group by t.via order by t.via`,
    [from, to],
  );
}

export type SkillFigures = { label: string; count: number };

/** What was ordered most, by the names of skills. */
export async function topSkills(db: Db, span: Span, limit: number): Promise<SkillFigures[]> {
  const { from, to } = timesOf(span);
  return db.query(
    `with ordered as (select t.skill_id from ${WORK})
     select s.label, count(*)::int as count from ordered o join grid_skills s on s.id = o.skill_id
      group by s.label order by count(*) desc, s.label limit $3`,
    [from, to, limit],
  );
}

export type Economy = { gmv: Tck; settled: number; refunded: number; disputed: number };

/** What became of the escrows that were opened. */
export async function economyOf(db: Db, span: Span): Promise<Economy> {
  const { from, to } = timesOf(span);
  const [row] = await db.query<Omit<Economy, 'gmv'> & { gmv: bigint }>(
    `select coalesce(sum(e.amount) filter (where e.state in ('SETTLED', 'AWAITING_SETTLEMENT')), 0)::bigint as gmv,
            count(*) filter (where e.state = 'SETTLED')::int as settled,
            count(*) filter (where e.state = 'REFUNDED')::int as refunded,
            count(*) filter (where e.state = 'DISPUTED')::int as disputed
       from grid_escrows e join grid_nodes b on b.id = e.buyer_id
      where not b.sandbox and e.created_at >= $1 and e.created_at < $2`,
    [from, to],
  );
  return row ? { ...row, gmv: tck(row.gmv) } : { gmv: tck(0n), settled: 0, refunded: 0, disputed: 0 };
}

/** What the vault kept of what was settled. */
export async function taxIn(db: Db, span: Span): Promise<Tck> {
  const { from, to } = timesOf(span);
  const [row] = await db.query<{ tax: bigint }>(
    `select coalesce(sum(e.amount * ${TAX_BASIS_POINTS} / ${BASIS_POINTS}), 0)::bigint as tax
       from grid_escrows e join grid_nodes b on b.id = e.buyer_id
      where not b.sandbox and e.settled_at >= $1 and e.settled_at < $2`,
    [from, to],
  );
  return tck(row?.tax ?? 0n);
}

export async function skillsIn(db: Db, span: Span): Promise<{ total: number; published: number }> {
  const { from, to } = timesOf(span);
  const [row] = await db.query<{ total: number; published: number }>(
    `select count(*)::int as total,
            count(*) filter (where s.created_at >= $1 and s.created_at < $2)::int as published
       from grid_skills s join grid_nodes n on n.id = s.node_id where not n.sandbox`,
    [from, to],
  );
  return row ?? { total: 0, published: 0 };
}

/** Indexes of the nodes that did something, as they were on their days. */
export type IndexFigures = {
  count: number;
  mean: number;
  least: number;
  most: number;
  parts: Record<string, number>;
};

export async function indexFigures(db: Db, { first, last }: Span): Promise<IndexFigures | undefined> {
  const [row] = await db.query<{
    count: number;
    mean: number | null;
    least: number;
    most: number;
    parts: Record<string, number>;
  }>(
    `with kept as (select cri, cri_after from grid_node_days
                    where day between $1 and $2 and not sandbox and cri is not null)
     select count(*)::int as count, avg(cri_after)::float8 as mean, min(cri_after)::float8 as least,
            max(cri_after)::float8 as most,
            (select jsonb_object_agg(name, mean) from (
               select p.key as name, avg(p.value::numeric)::float8 as mean from kept k, jsonb_each_text(k.cri) p group by p.key
             ) parts) as parts
       from kept`,
    [first, last],
  );
  return row && row.mean !== null ? { ...row, mean: row.mean } : undefined;
}

export type TopNode = { id: NodeId; earned: Tck; sold: number; cri: number; founder: boolean };

/** Who has earned most: of the last day and the one before as they are, of those before as they were taken. */
export async function topSellers(db: Db, { first, last }: Span, limit: number): Promise<TopNode[]> {
  const live = plusDays(last, -1);
  const { from, to } = timesOf({ first: live, last });
  const rows = await db.query<{ id: NodeId; earned: bigint; sold: number; cri: string; founder: boolean }>(
    `with sales as (
       select node_id, earned, tasks_completed as sold from grid_node_days where day >= $1 and day < $2 and not sandbox
       union all
       select e.seller_id, e.amount - e.amount * ${TAX_BASIS_POINTS} / ${BASIS_POINTS}, 0
         from grid_escrows e where e.settled_at >= $3 and e.settled_at < $4
       union all
       select t.seller_id, 0, 1 from grid_tasks t where not t.shadow and t.completed_at >= $3 and t.completed_at < $4
     )
     select n.id, sum(s.earned)::bigint as earned, sum(s.sold)::int as sold, n.cri, n.genesis_rank is not null as founder
       from sales s join grid_nodes n on n.id = s.node_id
      where not n.sandbox
      group by n.id having sum(s.earned) > 0
      order by sum(s.earned) desc, n.id limit $5`,
    [first, live, from, to, limit],
  );
  return rows.map(({ id, earned, sold, cri, founder }) => ({
    id,
    earned: tck(earned),
    sold,
    cri: Number(cri),
    founder,
  }));
}

/** The day on which the grid's first node came; today where there is none. */
export async function beginningOf(db: Db, now: Date): Promise<ReturnType<typeof dayOf>> {
  const [row] = await db.query<{ at: Date | null }>(`select min(created_at) as at from grid_nodes`);
  return dayOf(row?.at ?? now);
}
