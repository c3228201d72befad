import type { ListingId, NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Db } from '../../../platform/db.ts';
import { holding } from '../market/store.ts';

export type Match = { skillId: ListingId; price: Tck; reachable: boolean };

/** Who looks for a skill: not one of its own, and of its own side of the wall between sandbox and production. */
export type Searcher = { id: NodeId; sandbox: boolean; house: readonly string[] };

/**
 * The cheapest skill of another active node whose label has one of these words in it. One that the searcher may not
 * buy comes only where there is none that it may.
 */
export async function cheapestMatch(db: Db, words: readonly string[], by: Searcher): Promise<Match | undefined> {
  // The words of a skill begin with its label, and have an index.
  const likely = words.map((_, n) => `s.words like $${n + 5}`).join(' or ');
  const [row] = await db.query<{ id: ListingId; price: bigint; reachable: boolean }>(
    `select s.id, s.price, n.sandbox = $3 or ($3 and n.id = any ($4)) as reachable
       from grid_skills s join grid_nodes n on n.id = s.node_id
      where n.active and n.id <> $2 and (${likely})
        and exists (select from unnest($1::text[]) as word where strpos(lower(s.label), word) > 0)
      order by reachable desc, s.price, s.seq
      limit 1`,
    [words, by.id, by.sandbox, by.house, ...words.map(holding)],
  );
  return row && { skillId: row.id, price: tck(row.price), reachable: row.reachable };
}

export type Discovery = {
  category?: string | undefined;
  maxPrice?: Tck | undefined;
  minCri?: number | undefined;
  limit: number;
};
export type Discovered = {
  id: ListingId;
  sellerId: NodeId;
  sellerCri: number;
  label: string;
  price: Tck;
  category: string | undefined;
  description: string | undefined;
  /** What its metadata has there, and undefined where that is too large to be shown among many. */
  inputSchema: unknown;
  outputSchema: unknown;
};

/** Bytes of a schema that is shown among many. A larger one is on the page of its skill. */
const MAX_SHOWN_SCHEMA = 4_000;
const MAX_SHOWN_TEXT = 1_000;

/** Nothing larger leaves the database: two hundred skills may have ten megabytes of metadata. */
const shownSchema = (name: 'input_schema' | 'output_schema'): string =>
  `case when octet_length((s.metadata -> '${name}')::text) <= ${MAX_SHOWN_SCHEMA} then s.metadata -> '${name}' end as ${name}`;

/** Skills of active nodes that trade for real, the oldest first. */
export async function discover(db: Db, { category, maxPrice, minCri, limit }: Discovery): Promise<Discovered[]> {
  const rows = await db.query<{
    id: ListingId;
    node_id: NodeId;
    cri: number;
    label: string;
    price: bigint;
    category: string | null;
    description: string | null;
    input_schema: unknown;
    output_schema: unknown;
  }>(
    `select s.id, s.node_id, n.cri::float8 as cri, s.label, s.price, left(s.category, ${MAX_SHOWN_TEXT}) as category,
            case when jsonb_typeof(s.metadata -> 'description') = 'string'
                 then left(s.metadata ->> 'description', ${MAX_SHOWN_TEXT}) end as description,
            ${shownSchema('input_schema')}, ${shownSchema('output_schema')}
       from grid_skills s join grid_nodes n on n.id = s.node_id
      where n.active and not n.sandbox and ($1::text is null or s.category = $1)
        and ($2::bigint is null or s.price <= $2) and ($3::numeric is null or n.cri >= $3)
      order by s.seq
      limit $4`,
    [category ?? null, maxPrice ?? null, minCri ?? null, limit],
  );
  return rows.map((row) => ({
    id: row.id,
    sellerId: row.node_id,
    sellerCri: row.cri,
    label: row.label,
    price: tck(row.price),
    category: row.category ?? undefined,
    description: row.description ?? undefined,
    inputSchema: row.input_schema ?? undefined,
    outputSchema: row.output_schema ?? undefined,
  }));
}

/** Of a node as a buyer: its escrows whose money is still locked away, and its tasks that are still to be done. */
export async function waitingFor(db: Db, buyer: NodeId): Promise<{ pendingEscrows: number; openTasks: number }> {
  const [row] = await db.query<{ escrows: bigint; tasks: bigint }>(
    `select (select count(*) from grid_escrows
              where buyer_id = $1 and state in ('PENDING', 'AWAITING_SETTLEMENT', 'DISPUTED')) as escrows,
            (select count(*) from grid_tasks
              where buyer_id = $1 and not shadow and status in ('OPEN', 'IN_PROGRESS')) as tasks`,
    [buyer],
  );
  return { pendingEscrows: Number(row?.escrows ?? 0n), openTasks: Number(row?.tasks ?? 0n) };
}
