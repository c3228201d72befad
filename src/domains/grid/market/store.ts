import type { ListingId, NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import { MAX_SKILLS, type OwnSkill, type Skill, type SkillType } from './skill.ts';

type SkillRow = {
  id: ListingId;
  node_id: NodeId;
  type: SkillType;
  label: string;
  price: bigint;
  metadata: Record<string, unknown>;
  created_at: Date;
};

const COLUMNS = 's.id, s.node_id, s.type, s.label, s.price, s.metadata, s.created_at';

const skillOf = (row: SkillRow): Skill => ({
  id: row.id,
  nodeId: row.node_id,
  type: row.type,
  label: row.label,
  price: tck(row.price),
  metadata: row.metadata,
  createdAt: row.created_at,
});

/** False where the same request has published it before. */
export async function insertSkill(tx: Tx, skill: Skill): Promise<boolean> {
  const rows = await tx.query(
    `insert into grid_skills (id, node_id, type, label, price, metadata, created_at)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (id) do nothing
     returning 1`,
    [skill.id, skill.nodeId, skill.type, skill.label, skill.price, JSON.stringify(skill.metadata), skill.createdAt],
  );
  return rows.length > 0;
}

export async function findSkill(db: Db, id: ListingId): Promise<Skill | undefined> {
  const [row] = await db.query<SkillRow>(`select ${COLUMNS} from grid_skills s where s.id = $1`, [id]);
  return row && skillOf(row);
}

/** What a node offers, the oldest first. Without its metadata, which of so many can be fifty megabytes. */
export async function skillsOf(db: Db, nodeId: NodeId): Promise<OwnSkill[]> {
  const rows = await db.query<Pick<SkillRow, 'id' | 'label' | 'price'>>(
    `select s.id, s.label, s.price from grid_skills s where s.node_id = $1 order by s.seq limit ${MAX_SKILLS}`,
    [nodeId],
  );
  return rows.map(({ id, label, price }) => ({ id, label, price: tck(price) }));
}

export async function countSkillsOf(db: Db, nodeId: NodeId): Promise<number> {
  const [row] = await db.query<{ count: number }>(`select count(*)::int as count from grid_skills where node_id = $1`, [
    nodeId,
  ]);
  return row?.count ?? 0;
}

export type MarketQuery = {
  /** Text that the label, the description or the category holds. */
  text?: string | undefined;
  minPrice?: Tck | undefined;
  maxPrice?: Tck | undefined;
  category?: string | undefined;
  /** The listings of sandbox nodes in the place of all others. */
  sandbox: boolean;
  limit: number;
  offset: number;
};

/** What one asks for costs, over all pages. Undefined where there is nothing. */
export type PriceStats = { min: Tck; max: Tck; average: Tck; median: Tck };

const FOUND = `from grid_skills s join grid_nodes n on n.id = s.node_id
 where n.active and n.sandbox = $1
   and ($2::text is null or strpos(lower(s.label || ' ' || coalesce(s.metadata ->> 'description', '') || ' '
                                         || coalesce(s.category, '')), lower($2)) > 0)
   and ($3::bigint is null or s.price >= $3)
   and ($4::bigint is null or s.price <= $4)
   and ($5::text is null or s.category = $5)`;

const valuesOf = (query: MarketQuery): unknown[] => [
  query.sandbox,
  query.text ?? null,
  query.minPrice ?? null,
  query.maxPrice ?? null,
  query.category ?? null,
];

/** One page, the oldest listing first, so that what is new is at the end and pages do not shift. */
export async function findListings(db: Db, query: MarketQuery): Promise<Skill[]> {
  const rows = await db.query<SkillRow>(`select ${COLUMNS} ${FOUND} order by s.seq limit $6 offset $7`, [
    ...valuesOf(query),
    query.limit,
    query.offset,
  ]);
  return rows.map(skillOf);
}

type StatsRow = { total: number; min: bigint; max: bigint; average: bigint; median: bigint };

export async function priceStats(
  db: Db,
  query: MarketQuery,
): Promise<{ total: number; prices: PriceStats | undefined }> {
  const [row] = await db.query<StatsRow>(
    `select count(*)::int as total, min(s.price) as min, max(s.price) as max,
            round(avg(s.price))::bigint as average,
            round((percentile_cont(0.5) within group (order by s.price))::numeric)::bigint as median ${FOUND}`,
    valuesOf(query),
  );
  if (!row || row.total === 0) return { total: 0, prices: undefined };
  const { total, min, max, average, median } = row;
  return { total, prices: { min: tck(min), max: tck(max), average: tck(average), median: tck(median) } };
}
