import type { Op } from '../../../kernel/op.ts';
import type { Db } from '../../../platform/db.ts';
import { asNumber } from '../money.ts';
import type { GridWorld } from '../world.ts';
import { daysUpTo } from './analytics.ts';
import { beginningOf } from './analytics-store.ts';
import { dayOf, plusDays, spanOf, type DayFigures, type Span, type SpanName } from './day.ts';
import { takenDays } from './day-store.ts';
import { escrowGroups, indexDays, nodeDays, nodeGroups, taskGroups, type Place } from './export-store.ts';

export const EXPORTS = ['cri', 'daily_active', 'escrows', 'funnel', 'nodes', 'tasks'] as const;
export type ExportName = (typeof EXPORTS)[number];
export type Cell = string | number | boolean | null;
export type ExportRow = Record<string, Cell>;

/** The names of each export's columns, in their order. */
export const COLUMNS: Record<ExportName, readonly string[]> = {
  daily_active: ['date', 'sandbox', 'country', 'tasks_created', 'tasks_completed', 'tck_spent', 'tck_earned'],
  tasks: ['date', 'protocol', 'provider', 'status', 'count'],
  escrows: ['date', 'status', 'count', 'volume_tck'],
  nodes: ['date', 'sandbox', 'country', 'count'],
  funnel: ['date', 'event', 'country', 'count'],
  cri: [
    'date',
    'node_id',
    'base',
    'tx_score',
    'diversity_score',
    'volume_score',
    'age_score',
    'buyer_score',
    'genesis_bonus',
    'dispute_penalty',
    'concentration_penalty',
    'strike_penalty',
    'decay_factor',
    'settled_total',
    'unique_counterparties',
    'total_volume_tck',
    'age_days',
    'cri_before',
    'cri_after',
  ],
};

/** Rows, and days, that are read at once: nobody who reads slowly holds more, or a transaction. */
const BATCH = 1_000;
const STRETCH_DAYS = 31;
/** Where a node lives we do not ask, and which model it uses neither. */
const UNKNOWN = null;

/** The rows of an export as they are read, oldest first. */
export async function* exportRows(
  { db }: GridWorld,
  op: Op,
  name: ExportName,
  period: SpanName,
): AsyncGenerator<ExportRow> {
  const span = spanOf(period, op.now, await beginningOf(db, op.now));
  if (name === 'cri') return yield* indexRows(db, span);
  if (name === 'daily_active') return yield* activeRows(db, span);
  for (const stretch of stretchesOf(span)) yield* await GROUPS[name](db, stretch, op);
}

const GROUPS: Record<
  Exclude<ExportName, 'cri' | 'daily_active'>,
  (db: Db, span: Span, op: Op) => Promise<ExportRow[]>
> = {
  tasks: async (db, span) => (await taskGroups(db, span)).map((group) => ({ ...group, provider: UNKNOWN })),
  escrows: async (db, span) =>
    (await escrowGroups(db, span)).map(({ volume, ...group }) => ({ ...group, volume_tck: asNumber(volume) })),
  nodes: async (db, span) => (await nodeGroups(db, span)).map((group) => ({ ...group, country: UNKNOWN })),
  funnel: async (db, span, { now }) => {
    const days = span.last === dayOf(now) ? await daysUpTo(db, span) : await takenDays(db, span);
    return days.flatMap(funnelOf);
  },
};

/** The steps of a day that somebody took. */
function funnelOf({ day, sandboxTrades, newNodes, firstTrades }: DayFigures): ExportRow[] {
  const steps = { first_trade: firstTrades, register: newNodes, sandbox_trade: sandboxTrades };
  return Object.entries(steps)
    .filter(([, count]) => count > 0)
    .map(([event, count]) => ({ date: day, event, country: UNKNOWN, count }));
}

function* stretchesOf({ first, last }: Span): Generator<Span> {
  for (let from = first; from <= last; from = plusDays(from, STRETCH_DAYS)) {
    const to = plusDays(from, STRETCH_DAYS - 1);
    yield { first: from, last: to < last ? to : last };
  }
}

async function* activeRows(db: Db, { first, last }: Span): AsyncGenerator<ExportRow> {
  for await (const row of paged(first, (behind) => nodeDays(db, behind, last, BATCH)))
    yield {
      date: row.day,
      sandbox: row.sandbox,
      country: UNKNOWN,
      tasks_created: row.created,
      tasks_completed: row.completed,
      tck_spent: asNumber(row.spent),
      tck_earned: asNumber(row.earned),
    };
}

async function* indexRows(db: Db, { first, last }: Span): AsyncGenerator<ExportRow> {
  for await (const { day, node, parts, before, after } of paged(first, (behind) => indexDays(db, behind, last, BATCH)))
    yield { date: day, node_id: node, ...parts, cri_before: before, cri_after: after };
}

/** Reads on behind the last row that was read, until there is none. */
async function* paged<Row extends Place>(
  first: Place['day'],
  read: (behind: Place) => Promise<Row[]>,
): AsyncGenerator<Row> {
  let behind: Place = { day: first, node: '' };
  for (;;) {
    const rows = await read(behind);
    yield* rows;
    const last = rows.at(-1);
    if (!last || rows.length < BATCH) return;
    behind = { day: last.day, node: last.node };
  }
}
