import { expect, test } from 'vitest';
import { brief, dollars, fields, finePrice, moment, table } from './layout.ts';

const plain = (_style: unknown, text: string): string => text;

test('money has its sign before the dollar', () => {
  expect([0, 5, 1250, -500].map(dollars)).toEqual(['$0.00', '$0.05', '$12.50', '-$5.00']);
  expect(finePrice(42)).toBe('$0.000042');
});

test('times are shown to the second', () => {
  expect(moment('2026-03-13T12:00:07.123Z')).toBe('2026-03-13 12:00:07');
  expect(moment(null)).toBe('–');
});

test('a table is as wide as its cells, with numbers to the right and nothing behind the last', () => {
  const columns = [
    { title: 'name', of: (row: string[]) => row[0] ?? '' },
    { title: 'cents', of: (row: string[]) => row[1] ?? '', side: 'right' as const },
    { title: 'remark', of: (row: string[]) => row[2] ?? '' },
  ];
  const rows = [
    ['a long name', '5', ''],
    ['b', '1234567', 'x'],
  ];
  expect(table(rows, columns, { paint: plain, empty: 'none' })).toBe(
    ['NAME           CENTS  REMARK', 'a long name        5', 'b            1234567  x'].join('\n'),
  );
  expect(table([], columns, { paint: plain, empty: 'none' })).toBe('none');
});

test('fields stand under each other', () => {
  const rows: [string, string][] = [
    ['id', '1'],
    ['balance', '$1.00'],
  ];
  expect(fields(rows, plain)).toBe('id       1\nbalance  $1.00');
});

test('a brief text is one line of so many characters', () => {
  expect(brief(' one\n two\tthree ', 20)).toBe('one two three');
  expect(brief('one two three', 5)).toBe('one…');
});
