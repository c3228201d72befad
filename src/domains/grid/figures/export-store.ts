import type { NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Db } from '../../../platform/db.ts';
import { timesOf, type DayName, type Span } from './day.ts';

/** What exports are made of, a stretch of days or of rows at a time. */

const DATE = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD')`;

export type TaskGroup = { date: string; protocol: string; status: string; count: number };

export async function taskGroups(db: Db, span: Span): Promise<TaskGroup[]> {
  const { from, to } = timesOf(span);
  return db.query(
    `select ${DATE('t.created_at')} as date, t.via as protocol, t.status, count(*)::int as count
       from grid_tasks t join grid_nodes b on b.id = t.buyer_id
      where not t.shadow and not b.sandbox and t.created_at >= $1 and t.created_at < $2
      group by 1, t.via, t.status order by 1, t.via, t.status`,
    [from, to],
  );
}

export type EscrowGroup = { date: string; status: string; count: number; volume: Tck };

export async function escrowGroups(db: Db, span: Span): Promise<EscrowGroup[]> {
  const { from, to } = timesOf(span);
  const rows = await db.query<Omit<EscrowGroup, 'volume'> & { volume: bigint }>(
    `select ${DATE('e.created_at')} as date, e.state as status, count(*)::int as count, sum(e.amount)::bigint as volume
       from grid_escrows e join grid_nodes b on b.id = e.buyer_id
      where not b.sandbox and e.created_at >= $1 and e.created_at < $2
      group by 1, e.state order by 1, e.state`,
    [from, to],
  );
  return rows.map((row) => ({ ...row, volume: tck(row.volume) }));
}

export type NodeGroup = { date: string; sandbox: boolean; count: number };

export async function nodeGroups(db: Db, span: Span): Promise<NodeGroup[]> {
  const { from, to } = timesOf(span);
  return db.query(
    `select ${DATE('created_at')} as date, sandbox, count(*)::int as count
       from grid_nodes where created_at >= $1 and created_at < $2
      group by 1, sandbox order by 1, sandbox`,
    [from, to],
  );
}

/** Where in the node days a reader is. */
export type Place = { day: DayName; node: string };

export type NodeDay = {
  day: DayName;
  node: NodeId;
  sandbox: boolean;
  created: number;
  completed: number;
  spent: Tck;
  earned: Tck;
};

type NodeDayRow = {
  day: DayName;
  node: NodeId;
  sandbox: boolean;
  created: number;
  completed: number;
  spent: bigint;
  earned: bigint;
};

/** What nodes did, behind a place, up to a day. */
export async function nodeDays(db: Db, behind: Place, last: DayName, limit: number): Promise<NodeDay[]> {
  const rows = await db.query<NodeDayRow>(
    `select day::text as day, node_id as node, sandbox, tasks_created as created, tasks_completed as completed, spent, earned
       from grid_node_days d
      where (d.day, d.node_id) > ($1, $2) and d.day <= $3 order by d.day, d.node_id limit $4`,
    [behind.day, behind.node, last, limit],
  );
  return rows.map((row) => ({ ...row, spent: tck(row.spent), earned: tck(row.earned) }));
}

export type IndexDay = {
  day: DayName;
  node: NodeId;
  parts: Record<string, number>;
  before: number;
  after: number;
};

/** What the indexes of nodes were, behind a place, up to a day. */
export const indexDays = (db: Db, behind: Place, last: DayName, limit: number): Promise<IndexDay[]> =>
  db.query<IndexDay>(
    `select day::text as day, node_id as node, cri as parts, cri_before::float8 as before, cri_after::float8 as after
       from grid_node_days d
      where (d.day, d.node_id) > ($1, $2) and d.day <= $3 and cri is not null order by d.day, d.node_id limit $4`,
    [behind.day, behind.node, last, limit],
  );
