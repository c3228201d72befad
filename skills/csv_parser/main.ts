/** Reads CSV: finds out how it is written, names and types its columns, and says which rows are wrong. */
import Papa from 'papaparse';
import { count, fieldsOf, flag, optionalText, Refusal, requiredText } from '../input.ts';
import { columnOf, type Column } from './column.ts';
import { looksLikeHeader, namesOf } from './header.ts';

const FIELDS = ['csv', 'text', 'content', 'delimiter', 'quote', 'header', 'types', 'limit'];
const MAX_LENGTH = 12_000_000;
const MAX_ROWS = 200_000;
const MAX_COLUMNS = 2_000;
const MAX_RETURNED = 10_000;
const USUALLY_RETURNED = 1_000;
/** Wrong rows that are told one by one; all are counted. */
const MAX_TOLD = 100;

type RowError = { row: number; code: string; message: string };

export function run(input: unknown): unknown {
  const fields = fieldsOf(input, FIELDS);
  const text = requiredText(fields, ['csv', 'text', 'content'], MAX_LENGTH);
  const limit = count(fields, 'limit', { fallback: USUALLY_RETURNED, most: MAX_RETURNED });
  const quote = oneCharacter('quote', optionalText(fields, 'quote', 1)) ?? '"';
  const delimiter = delimiterOf(optionalText(fields, 'delimiter', 4));
  const { data, errors, meta } = Papa.parse<string[]>(text, {
    delimiter,
    quoteChar: quote,
    skipEmptyLines: 'greedy',
    preview: MAX_ROWS + 2,
  });
  if (data.length > MAX_ROWS + 1) throw new Refusal(`The text may have ${MAX_ROWS} rows`);
  if (data.some((row) => row.length > MAX_COLUMNS)) throw new Refusal(`A row may have ${MAX_COLUMNS} columns`);
  const hasHeader = flag(fields, 'header') ?? looksLikeHeader(data);
  const rows = hasHeader ? data.slice(1) : data;
  const names = namesOf(hasHeader ? data[0] : undefined, widthOf(data, hasHeader));
  const columns = names.map((name, index) => columnOf(name, cellsOf(rows, index), meta.delimiter));
  const wrong = [...quoteErrors(errors, hasHeader), ...lengthErrors(rows, names.length)];
  const typed = flag(fields, 'types') ?? true;
  return {
    delimiter: meta.delimiter,
    quote,
    line_break: meta.linebreak,
    has_header: hasHeader,
    headers: names,
    total_rows: rows.length,
    returned_rows: Math.min(rows.length, limit),
    truncated: rows.length > limit,
    data: rows.slice(0, limit).map((row) => recordOf(row, columns, typed)),
    columns: columns.map(({ shown }) => shown),
    error_count: wrong.length,
    errors: wrong.sort((a, b) => a.row - b.row).slice(0, MAX_TOLD),
  };
}

/** Nothing, or `auto`, has it found out. */
function delimiterOf(given: string | undefined): string {
  if (given === undefined || given === 'auto') return '';
  return oneCharacter('delimiter', given === '\\t' ? '\t' : given) ?? '';
}

function oneCharacter(name: string, given: string | undefined): string | undefined {
  if (given !== undefined && (given.length !== 1 || /[\r\n\uFEFF]/.test(given)))
    throw new Refusal(`${name} must be one character, and no line break`);
  return given;
}

/** As wide as its header; without one, as wide as most rows are. */
function widthOf(data: readonly string[][], hasHeader: boolean): number {
  if (hasHeader) return data[0]?.length ?? 0;
  const widths = new Map<number, number>();
  for (const { length } of data) widths.set(length, (widths.get(length) ?? 0) + 1);
  return [...widths].reduce((most, entry) => (entry[1] > most[1] ? entry : most), [0, 0])[0];
}

const cellsOf = (rows: readonly string[][], index: number): string[] => rows.map((row) => row[index] ?? '');

/** Rows are counted from 1, the header's not. */
const quoteErrors = (errors: readonly Papa.ParseError[], hasHeader: boolean): RowError[] =>
  errors
    .filter(({ type }) => type === 'Quotes')
    .map(({ code, message, row = 0 }) => ({ row: row + (hasHeader ? 0 : 1), code: snake(code), message }));

const snake = (code: string): string => code.replaceAll(/(?<!^)([A-Z])/g, '_$1').toLowerCase();

const lengthErrors = (rows: readonly string[][], width: number): RowError[] =>
  rows.flatMap(({ length }, index) => {
    if (length === width) return [];
    const code = length < width ? 'too_few_fields' : 'too_many_fields';
    return [{ row: index + 1, code, message: `Expected ${width} fields, found ${length}` }];
  });

/** What stands beyond the columns is kept as well, where a reader sees that it does not belong. */
function recordOf(row: readonly string[], columns: readonly Column[], typed: boolean): Record<string, unknown> {
  const record = new Map<string, unknown>(
    columns.map(({ shown, read }, index) => {
      const cell = row[index];
      if (cell === undefined) return [shown.name, null];
      return [shown.name, typed ? read(cell) : cell];
    }),
  );
  if (row.length > columns.length) record.set('_extra', row.slice(columns.length));
  return Object.fromEntries(record);
}
