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

/** What one asks for costs, over all pages. */
export type PriceStats = { min: Tck; max: Tck; average: Tck; median: Tck };
/** `isCut`: its metadata is not all that there is of it. */
export type Listed = Skill & { isCut: boolean };
export type Found = { total: number; prices: PriceStats | undefined; skills: Listed[] };

/** Bytes of metadata that is shown whole among many: of two hundred skills it can be ten megabytes. */
const MAX_SHOWN_METADATA = 4_000;
/** Of one part of larger metadata, and characters of its description. */
const MAX_SHOWN_PART = 1_000;
const SHOWN_PARTS = ['category', 'version', 'input_schema', 'output_schema', 'validators', 'recommended_verifiers'];
const IS_CUT = `octet_length(s.metadata::text) > ${MAX_SHOWN_METADATA}`;

/** What lists show of metadata: all of it, or where it is too large those parts that are known and small. */
const SHOWN_METADATA = `
  case when ${IS_CUT} then (
    select coalesce(jsonb_object_agg(p.key, case when p.key = 'description' then to_jsonb(left(p.value #>> '{}', ${MAX_SHOWN_PART}))
                                                 else p.value end), '{}')
      from jsonb_each(s.metadata) p
     where (p.key = 'description' and jsonb_typeof(p.value) = 'string')
        or (p.key in (${SHOWN_PARTS.map((part) => `'${part}'`).join(', ')}) and octet_length(p.value::text) <= ${MAX_SHOWN_PART}))
       else s.metadata end`;

/** Everything that fits, found once: what it costs is of all of it, and metadata is read of one page only. */
const SEARCH = `
with found as materialized (
  select s.id, s.seq, s.price
    from grid_skills s join grid_nodes n on n.id = s.node_id
   where n.active and n.sandbox = $1
     and ($2::text is null or s.words like lower($2))
     and ($3::bigint is null or s.price >= $3)
     and ($4::bigint is null or s.price <= $4)
     and ($5::text is null or s.category = $5)),
page as (select id, seq from found order by seq limit $6 offset $7),
costs as (
  select count(*)::int as total, min(price) as min, max(price) as max, round(avg(price))::bigint as average,
         round((percentile_cont(0.5) within group (order by price))::numeric)::bigint as median
    from found)
select costs.*, s.id, s.node_id, s.type, s.label, s.price, s.created_at, ${IS_CUT} as is_cut, ${SHOWN_METADATA} as metadata
  from costs left join page on true left join grid_skills s on s.id = page.id
 order by page.seq`;

/** A pattern for text that has this in it, in which nothing stands for anything else. */
export const holding = (text: string): string => `%${text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`;

type Costs = { total: number; min: bigint; max: bigint; average: bigint; median: bigint };
type ListedRow = SkillRow & { is_cut: boolean };
type FoundRow = Costs & (ListedRow | { [Name in keyof ListedRow]: null });

/** One page, the oldest listing first, so that what is new is at the end and pages do not shift. */
export async function search(db: Db, query: MarketQuery): Promise<Found> {
  const { text, minPrice, maxPrice, category, sandbox, limit, offset } = query;
  const rows = await db.query<FoundRow>(SEARCH, [
    sandbox,
    text === undefined ? null : holding(text),
    minPrice ?? null,
    maxPrice ?? null,
    category ?? null,
    limit,
    offset,
  ]);
  const [first] = rows;
  // A page behind the last one has no skill, but what everything costs all the same.
  const skills = rows.flatMap((row) => (row.id === null ? [] : [{ ...skillOf(row), isCut: row.is_cut }]));
  return { total: first?.total ?? 0, prices: first && first.total > 0 ? pricesOf(first) : undefined, skills };
}

const pricesOf = ({ min, max, average, median }: Costs): PriceStats => ({
  min: tck(min),
  max: tck(max),
  average: tck(average),
  median: tck(median),
});
