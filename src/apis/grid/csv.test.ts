import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { csvLine } from './csv.ts';

const FORMULA = /^\s*[=+\-@\t\r\n|%]/;
const read = (line: string): string[][] => parse(line, { relax_column_count: false });

test('whatever stands in a cell is read as it was written, by a parser that is not ours', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 2, maxLength: 6 }), (cells) => {
      const expected = cells.map((cell) => (FORMULA.test(cell) ? `'${cell}` : cell));
      expect(read(csvLine(cells))).toEqual([expected]);
    }),
  );
});

test.each(['=1+1', '+1', '-1+1', '@SUM(A1)', '\t=1', '\r=1', ' =HYPERLINK("http://x","y")', '\n+1', '|calc', '%0A'])(
  'text that a spreadsheet would carry out is only text: %j',
  (text) => {
    const [[cell = '', next] = []] = read(csvLine([text, 'next']));
    expect([cell.startsWith("'"), cell.slice(1), next]).toEqual([true, text, 'next']);
  },
);

test('numbers, booleans and nothing are written plainly', () => {
  expect(csvLine([-1.5, 0, true, null, 'a,b', 'say "so"', 'two\nlines'])).toBe(
    '-1.5,0,true,,"a,b","say ""so""","two\nlines"\r\n',
  );
});
