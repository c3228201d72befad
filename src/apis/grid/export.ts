import { Readable } from 'node:stream';
import { z } from 'zod';
import {
  EXPORT_COLUMNS,
  EXPORT_PERIODS,
  EXPORTS,
  type ExportName,
  type ExportRow,
  type Grid,
} from '../../domains/grid/index.ts';
import { AppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { route, type Answer, type Route } from '../contract.ts';
import { csvLine } from './csv.ts';
import { wholeNumber } from './wire.ts';

const TAG = 'Grid: operator';
const MAX_ROWS = 1_000_000;
/** Lines that are sent together: one by one they would be a packet each. */
const TOGETHER = 200;

const ExportParams = z.object({ table: z.string().meta({ examples: ['tasks'] }) });
const ExportQuery = z.object({
  period: z.enum(EXPORT_PERIODS).default('30d'),
  limit: wholeNumber({ min: 1, max: MAX_ROWS }).default(MAX_ROWS),
});
type Wish = { table: string; period: (typeof EXPORT_PERIODS)[number]; limit: number };
const ExportShown = z.object({
  table: z.enum(EXPORTS),
  period: z.enum(EXPORT_PERIODS),
  data: z.array(z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))),
  count: z.int(),
});

const DESCRIPTION =
  'Tables: `daily_active`, `tasks`, `escrows`, `nodes`, `funnel`, `cri`. Oldest first, by days of UTC; no address and no e-mail is in any of them. What single nodes did (`daily_active`, `cri`) is as it was last written down. `country` and `provider` are null: nobody is asked where they live, and nodes do not tell which model they use.';

export const exportRoutes = ({ grid }: { grid: Grid }): Route[] => [
  route({
    method: 'GET',
    path: '/v1/admin/export/:table',
    tag: TAG,
    summary: 'Figures for other programs',
    description: DESCRIPTION,
    access: 'admin',
    params: ExportParams,
    query: ExportQuery,
    fails: ['invalid'],
    replies: { 200: { description: 'The rows, sent as they are read', schema: ExportShown } },
    handle: (op, { params, query }) => answer(grid, op, { ...params, ...query }, asJson, () => ({})),
  }),
  route({
    method: 'GET',
    path: '/v1/admin/export/:table/csv',
    tag: TAG,
    summary: 'The same for spreadsheets',
    description: `${DESCRIPTION} Text that a spreadsheet would take for a formula has an apostrophe before it.`,
    access: 'admin',
    params: ExportParams,
    query: ExportQuery,
    fails: ['invalid'],
    replies: { 200: { description: 'A file with a line of headings', schema: z.string(), contentType: 'text/csv' } },
    handle: (op, { params, query }) =>
      answer(grid, op, { ...params, ...query }, asCsv, ({ table, period }) => ({
        'content-type': 'text/csv; charset=utf-8; header=present',
        'content-disposition': `attachment; filename="grid_${table}_${period}.csv"`,
      })),
  }),
];

type Write = (rows: AsyncIterable<ExportRow>, wish: Wish & { table: ExportName }) => AsyncGenerator<string>;

/** What cannot be read is told in the place of the answer, as long as nothing of that has been sent. */
async function answer(
  grid: Grid,
  op: Op,
  wish: Wish,
  write: Write,
  headers: (wish: Wish) => Record<string, string>,
): Promise<Answer> {
  const table = EXPORTS.find((name) => name === wish.table);
  if (!table) throw new AppError('invalid', `Invalid table. Choose from: ${EXPORTS.join(', ')}`);
  const rows = grid.figures.rows(op, table, wish.period);
  const first = await rows.next();
  const lines = write(startingWith(first, rows, wish.limit), { ...wish, table });
  return {
    status: 200,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers(wish) },
    body: Readable.from(bundled(lines), { objectMode: false }),
  };
}

async function* startingWith(
  first: IteratorResult<ExportRow>,
  rest: AsyncIterable<ExportRow>,
  limit: number,
): AsyncGenerator<ExportRow> {
  if (first.done) return;
  yield first.value;
  let left = limit - 1;
  if (left === 0) return;
  for await (const row of rest) {
    yield row;
    if (--left === 0) return;
  }
}

/** The fields are in the order in which they are known: how many rows there were comes last. */
const asJson: Write = async function* json(rows, { table, period }) {
  yield `{"table":${JSON.stringify(table)},"period":${JSON.stringify(period)},"data":[`;
  let count = 0;
  for await (const row of rows) {
    const ordered = EXPORT_COLUMNS[table].map((name) => [name, row[name] ?? null]);
    yield (count++ === 0 ? '\n' : ',\n') + JSON.stringify(Object.fromEntries(ordered));
  }
  yield `],"count":${count}}`;
};

const asCsv: Write = async function* csv(rows, { table }) {
  const columns = EXPORT_COLUMNS[table];
  yield csvLine(columns);
  for await (const row of rows) yield csvLine(columns.map((name) => row[name] ?? null));
};

async function* bundled(lines: AsyncIterable<string>): AsyncGenerator<string> {
  let bundle: string[] = [];
  for await (const line of lines) {
    if (bundle.push(line) < TOGETHER) continue;
    yield bundle.join('');
    bundle = [];
  }
  if (bundle.length > 0) yield bundle.join('');
}
