import type { Id, NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Db, Tx } from '../../../platform/db.ts';

/** What the operator has said of a report. */
export type Verdict = 'upheld' | 'dismissed';

export type Report = {
  id: Id<'report'>;
  reporter: NodeId;
  node: NodeId;
  /** Whether it is a strike. */
  counted: boolean;
  /** What the node had when it was made. */
  strikes: number;
  /** Where it ended the node: what the node had. */
  confiscated: Tck | undefined;
  verdict: Verdict | undefined;
  at: Date;
};

type Row = {
  id: Id<'report'>;
  reporter_id: NodeId;
  node_id: NodeId;
  counted: boolean;
  strikes: number;
  confiscated: bigint | null;
  verdict: Verdict | null;
  created_at: Date;
};

const COLUMNS = 'id, reporter_id, node_id, counted, strikes, confiscated, verdict, created_at';

const reportOf = (row: Row): Report => ({
  id: row.id,
  reporter: row.reporter_id,
  node: row.node_id,
  counted: row.counted,
  strikes: row.strikes,
  confiscated: row.confiscated === null ? undefined : tck(row.confiscated),
  verdict: row.verdict ?? undefined,
  at: row.created_at,
});

export async function insertReport(tx: Tx, report: Report): Promise<void> {
  await tx.query(
    `insert into grid_reports (id, reporter_id, node_id, counted, strikes, confiscated, created_at)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [report.id, report.reporter, report.node, report.counted, report.strikes, report.confiscated ?? null, report.at],
  );
}

export async function findReport(db: Db, id: Id<'report'>): Promise<Report | undefined> {
  const [row] = await db.query<Row>(`select ${COLUMNS} from grid_reports where id = $1`, [id]);
  return row && reportOf(row);
}

/** Whether a report of this node about the other was a strike, or was dismissed by the operator. */
export async function wasHeard(db: Db, reporter: NodeId, node: NodeId): Promise<boolean> {
  const rows = await db.query(
    `select 1 from grid_reports where reporter_id = $1 and node_id = $2 and (counted or verdict = 'dismissed') limit 1`,
    [reporter, node],
  );
  return rows.length > 0;
}

/** Whether a node has settled a trade for money of worth with somebody who has not struck this other node. */
export async function hasTradedApart(db: Db, reporter: NodeId, node: NodeId): Promise<boolean> {
  const rows = await db.query(
    `select 1 from (select seller_id as other from grid_escrows where buyer_id = $1 and state = 'SETTLED' and not sandbox
                    union all
                    select buyer_id from grid_escrows where seller_id = $1 and state = 'SETTLED' and not sandbox) trades
      where not exists (select from grid_reports r where r.node_id = $2 and r.reporter_id = trades.other and r.counted)
      limit 1`,
    [reporter, node],
  );
  return rows.length > 0;
}

export type ReportFilter = { node: string | undefined; counted: boolean | undefined };

/** Newest first, with how many there are in all. */
export async function listReports(
  db: Db,
  { node, counted }: ReportFilter,
  { limit, offset }: { limit: number; offset: number },
): Promise<{ rows: Report[]; total: number }> {
  const matches = `($1::text is null or node_id = $1) and ($2::boolean is null or counted = $2)`;
  const filter = [node ?? null, counted ?? null];
  const rows = await db.query<Row>(
    `select ${COLUMNS} from grid_reports where ${matches} order by created_at desc, id desc limit $3 offset $4`,
    [...filter, limit, offset],
  );
  const [row] = await db.query<{ total: number }>(
    `select count(*)::int as total from grid_reports where ${matches}`,
    filter,
  );
  return { rows: rows.map(reportOf), total: row?.total ?? 0 };
}

/** False where the operator has decided about it before. */
export async function decide(tx: Tx, id: Id<'report'>, verdict: Verdict, now: Date): Promise<boolean> {
  const rows = await tx.query(
    `update grid_reports set verdict = $2, reviewed_at = $3, counted = case when $2 = 'dismissed' then false else counted end
      where id = $1 and verdict is null returning 1`,
    [id, verdict, now],
  );
  return rows.length > 0;
}

/** Makes a strike of what was only noted. */
export async function makeStrike(
  tx: Tx,
  id: Id<'report'>,
  { strikes, confiscated }: Pick<Report, 'strikes' | 'confiscated'>,
): Promise<void> {
  await tx.query(`update grid_reports set counted = true, strikes = $2, confiscated = $3 where id = $1`, [
    id,
    strikes,
    confiscated ?? null,
  ]);
}

/** Says that a node that is banned has lost this too. */
export async function addConfiscated(tx: Tx, node: NodeId, amount: Tck): Promise<void> {
  await tx.query(
    `update grid_reports set confiscated = confiscated + $2
      where node_id = $1 and confiscated is not null and not returned`,
    [node, amount],
  );
}

/** What was confiscated of a node and is to be given back; each once. */
export async function takeConfiscated(tx: Tx, node: NodeId): Promise<Tck> {
  const rows = await tx.query<{ confiscated: bigint }>(
    `update grid_reports set returned = true where node_id = $1 and confiscated is not null and not returned
     returning confiscated`,
    [node],
  );
  return tck(rows.reduce((sum, { confiscated }) => sum + confiscated, 0n));
}
