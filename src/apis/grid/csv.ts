import type { Cell } from '../../domains/grid/index.ts';

/** Comma-separated values as RFC 4180 has them. */

const LINE_END = '\r\n';
const NEEDS_QUOTES = /[",\r\n]/;
/** What a spreadsheet takes for a formula, also behind a space. */
const FORMULA = /^\s*[=+\-@\t\r\n|%]/;

/** One line. Text that a spreadsheet would carry out has a quote before it; numbers have no need of one. */
export const csvLine = (cells: readonly Cell[]): string => cells.map(csvCell).join(',') + LINE_END;

function csvCell(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell !== 'string') return String(cell);
  const text = FORMULA.test(cell) ? `'${cell}` : cell;
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
