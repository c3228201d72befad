import type { Paint } from './terminal.ts';

/** How replies look to a person. */
export const dollars = (cents: number): string => `${cents < 0 ? '-' : ''}$${(Math.abs(cents) / 100).toFixed(2)}`;

/** From ten-thousandths of a cent. */
export const finePrice = (microcents: number): string => `$${(microcents / 1_000_000).toFixed(6)}`;

/** `2026-03-13 12:00:07`, in UTC as the API tells it. */
export const moment = (iso: string | null): string => (iso ? iso.slice(0, 19).replace('T', ' ') : '–');

/** Names with their values, one to a line. */
export function fields(rows: [name: string, value: string][], paint: Paint): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${paint('dim', name.padEnd(width))}  ${value}`).join('\n');
}

export type Column<Row> = { title: string; of: (row: Row) => string; side?: 'left' | 'right' };

/** One row to a line under the columns' titles; `empty` where there are none. */
export function table<Row>(rows: Row[], columns: Column<Row>[], { paint, empty }: { paint: Paint; empty: string }) {
  if (rows.length === 0) return empty;
  const cells = rows.map((row) => columns.map(({ of }) => of(row)));
  const titles = columns.map(({ title }) => title.toUpperCase());
  const widths = titles.map((title, at) => Math.max(title.length, ...cells.map((line) => line[at]?.length ?? 0)));
  const aligned = (line: string[]): string =>
    line
      .map((cell, at) =>
        columns[at]?.side === 'right' ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [paint('dim', aligned(titles)), ...cells.map(aligned)].join('\n');
}

/** On one line, and no longer than that many characters. */
export function brief(text: string, characters: number): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= characters ? line : `${line.slice(0, characters - 1).trimEnd()}…`;
}

export const indent = (text: string, columns: number): string => text.replaceAll(/^(?=.)/gm, ' '.repeat(columns));

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
