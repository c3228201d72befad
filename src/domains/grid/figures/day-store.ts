import type { NodeId } from '../../../kernel/ids.ts';
import { BASIS_POINTS, tck } from '../../../kernel/money.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import { TAX_BASIS_POINTS } from '../money.ts';
import { endOf, LATE, startOf, timesOf, type DayFigures, type DayName, type Span } from './day.ts';

const TAX = `e.amount * ${TAX_BASIS_POINTS} / ${BASIS_POINTS}`;
const within = (column: string): string => `${column} >= $1 and ${column} < $2`;

/** What each node did between two times; shadow tasks are none. */
const ACTS = `
  select t.buyer_id as node_id, 1 as created, 0 as completed, 0::bigint as spent, 0::bigint as earned
    from grid_tasks t where not t.shadow and ${within('t.created_at')}
  union all
  select t.seller_id, 0, 1, 0, 0 from grid_tasks t where not t.shadow and ${within('t.completed_at')}
  union all
  select e.buyer_id, 0, 0, e.amount, 0 from grid_escrows e where ${within('e.created_at')}
  union all
  select e.seller_id, 0, 0, 0, e.amount - ${TAX} from grid_escrows e where ${within('e.settled_at')}`;

const FIGURES = `
  with nodes as (select id, sandbox, created_at from grid_nodes),
  acted as (select distinct a.node_id from (${ACTS}) a join nodes n on n.id = a.node_id where not n.sandbox),
  ordered as (
    select n.sandbox, t.id from grid_tasks t join nodes n on n.id = t.buyer_id
     where not t.shadow and ${within('t.created_at')}),
  opened as (
    select e.buyer_id, e.amount from grid_escrows e join nodes n on n.id = e.buyer_id
     where not n.sandbox and ${within('e.created_at')}),
  settled as (
    select e.amount, ${TAX} as tax from grid_escrows e join nodes n on n.id = e.buyer_id
     where not n.sandbox and ${within('e.settled_at')}),
  decided as (
    select d.action from grid_decisions d join grid_escrows e on e.id = d.escrow_id join nodes n on n.id = e.buyer_id
     where not n.sandbox and ${within('d.created_at')})
  select (select count(*)::int from nodes where not sandbox and created_at < $2) as nodes,
         (select count(*)::int from nodes where not sandbox and ${within('created_at')}) as new_nodes,
         (select count(*)::int from acted) as active_nodes,
         (select count(*)::int from (select distinct buyer_id from opened) o where not exists (
            select from grid_escrows e where e.buyer_id = o.buyer_id and e.created_at < $1)) as first_trades,
         (select count(*)::int from ordered where sandbox) as sandbox_trades,
         (select count(*)::int from grid_skills s join nodes n on n.id = s.node_id
           where not n.sandbox and ${within('s.created_at')}) as skills,
         (select count(*)::int from ordered where not sandbox) as tasks_created,
         (select count(*)::int from grid_tasks t join nodes n on n.id = t.buyer_id
           where not t.shadow and not n.sandbox and ${within('t.completed_at')}) as tasks_completed,
         (select count(*)::int from opened) as escrows,
         (select coalesce(sum(amount), 0)::bigint from opened) as locked,
         (select count(*)::int from settled) as settled,
         (select coalesce(sum(amount), 0)::bigint from settled) as volume,
         (select coalesce(sum(tax), 0)::bigint from settled) as tax,
         (select count(*)::int from decided where action = 'AUTO_REFUND') as refunded,
         (select count(*)::int from decided where action = 'FLAGGED_MANUAL') as disputed`;

const COLUMNS = `nodes, new_nodes, active_nodes, first_trades, sandbox_trades, skills, tasks_created, tasks_completed,
  escrows, locked, settled, volume, tax, refunded, disputed`;

type Row = {
  nodes: number;
  new_nodes: number;
  active_nodes: number;
  first_trades: number;
  sandbox_trades: number;
  skills: number;
  tasks_created: number;
  tasks_completed: number;
  escrows: number;
  locked: bigint;
  settled: number;
  volume: bigint;
  tax: bigint;
  refunded: number;
  disputed: number;
};

const figuresOf = (day: DayName, row: Row): DayFigures => ({
  day,
  nodes: row.nodes,
  newNodes: row.new_nodes,
  activeNodes: row.active_nodes,
  firstTrades: row.first_trades,
  sandboxTrades: row.sandbox_trades,
  skills: row.skills,
  tasksCreated: row.tasks_created,
  tasksCompleted: row.tasks_completed,
  escrows: row.escrows,
  locked: tck(row.locked),
  settled: row.settled,
  volume: tck(row.volume),
  tax: tck(row.tax),
  refunded: row.refunded,
  disputed: row.disputed,
});

/** A day as it is now, whether or not it has been taken. */
export async function dayNow(db: Db, day: DayName): Promise<DayFigures> {
  const [row] = await db.query<Row>(FIGURES, [startOf(day), endOf(day)]);
  if (!row) throw new Error('a statement without rows has one');
  return figuresOf(day, row);
}

/** The days of a span that have been taken, the first one first. */
export async function takenDays(db: Db, { first, last }: Span): Promise<DayFigures[]> {
  const rows = await db.query<Row & { name: DayName }>(
    `select day::text as name, ${COLUMNS} from grid_days where day between $1 and $2 order by day`,
    [first, last],
  );
  return rows.map((row) => figuresOf(row.name, row));
}

/** Of two that take one day, the second sees what the first has written. */
export const lockDay = (tx: Tx, day: DayName) =>
  tx.query(`select pg_advisory_xact_lock(hashtextextended('grid day ' || $1, 0))`, [day]);

/** Writes down a day's figures, in the place of what was written before. */
export async function keepDay(tx: Tx, figures: DayFigures, now: Date): Promise<void> {
  await tx.query(
    `insert into grid_days (day, taken_at, ${COLUMNS})
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
     on conflict (day) do update set (taken_at, ${COLUMNS}) = row (
       greatest(grid_days.taken_at, excluded.taken_at), ${COLUMNS.replaceAll(/(\w+)/g, 'excluded.$1')})`,
    [
      figures.day,
      now,
      figures.nodes,
      figures.newNodes,
      figures.activeNodes,
      figures.firstTrades,
      figures.sandboxTrades,
      figures.skills,
      figures.tasksCreated,
      figures.tasksCompleted,
      figures.escrows,
      figures.locked,
      figures.settled,
      figures.volume,
      figures.tax,
      figures.refunded,
      figures.disputed,
    ],
  );
}

/** Writes down what each node did on a day; answers how many did something. */
export async function keepNodeDays(tx: Tx, day: DayName): Promise<number> {
  const { from, to } = timesOf({ first: day, last: day });
  const rows = await tx.query(
    `insert into grid_node_days (day, node_id, sandbox, tasks_created, tasks_completed, spent, earned)
     select $3, n.id, n.sandbox, sum(a.created)::int, sum(a.completed)::int, sum(a.spent)::bigint, sum(a.earned)::bigint
       from (${ACTS}) a join grid_nodes n on n.id = a.node_id
      group by n.id order by n.id
     on conflict (day, node_id) do update set tasks_created = excluded.tasks_created,
       tasks_completed = excluded.tasks_completed, spent = excluded.spent, earned = excluded.earned
     returning 1`,
    [from, to, day],
  );
  return rows.length;
}

/** The nodes that did something on a day, behind one of them by name. */
export async function nodesOfDay(db: Db, day: DayName, behind: string, limit: number): Promise<NodeId[]> {
  const rows = await db.query<{ node_id: NodeId }>(
    `select node_id from grid_node_days where day = $1 and node_id > $2 order by node_id limit $3`,
    [day, behind, limit],
  );
  return rows.map(({ node_id: id }) => id);
}

export type KeptCri = { id: NodeId; base: number; score: number; parts: Record<string, number> };

/** Writes down what the index of nodes was on a day. What it was before is what was written last, or where it begins. */
export async function keepIndexes(tx: Tx, day: DayName, indexes: readonly KeptCri[]): Promise<void> {
  await tx.query(
    `update grid_node_days d
        set cri = k.parts, cri_after = k.score,
            cri_before = coalesce((select p.cri_after from grid_node_days p
                                    where p.node_id = d.node_id and p.day < d.day and p.cri_after is not null
                                    order by p.day desc limit 1), k.base)
       from jsonb_to_recordset($2) as k (id text, base numeric, score numeric, parts jsonb)
      where d.day = $1 and d.node_id = k.id`,
    [day, JSON.stringify(indexes)],
  );
}

export async function forgetNodeDays(tx: Tx, before: DayName): Promise<void> {
  await tx.query(`delete from grid_node_days where day < $1`, [before]);
}

/** The first day that was taken for the last time before it was over. */
export async function unfinishedDay(db: Db, now: Date): Promise<DayName | undefined> {
  const [row] = await db.query<{ name: DayName }>(
    `with ended as (select day, taken_at, (day + 1)::timestamp at time zone 'UTC' + $2::interval as over_at from grid_days)
     select day::text as name from ended where over_at <= $1 and taken_at < over_at order by day limit 1`,
    [now, `${LATE} milliseconds`],
  );
  return row?.name;
}

export async function newestDay(db: Db): Promise<{ day: DayName; takenAt: Date } | undefined> {
  const [row] = await db.query<{ name: DayName; taken_at: Date }>(
    `select day::text as name, taken_at from grid_days order by day desc limit 1`,
  );
  return row && { day: row.name, takenAt: row.taken_at };
}

/** When something next happened on the grid, from a time on. */
export async function nextEvent(db: Db, from: Date): Promise<Date | undefined> {
  const [row] = await db.query<{ at: Date | null }>(
    `select least(
       (select min(created_at) from grid_nodes where created_at >= $1),
       (select min(created_at) from grid_skills where created_at >= $1),
       (select min(created_at) from grid_tasks where created_at >= $1),
       (select min(completed_at) from grid_tasks where completed_at >= $1),
       (select min(created_at) from grid_escrows where created_at >= $1),
       (select min(settled_at) from grid_escrows where settled_at >= $1),
       (select min(created_at) from grid_decisions where created_at >= $1)) as at`,
    [from],
  );
  return row?.at ?? undefined;
}
