import { describe, expect, test } from 'vitest';
import { run } from './main.ts';

type Parsed = {
  delimiter: string;
  has_header: boolean;
  headers: string[];
  total_rows: number;
  truncated: boolean;
  data: Record<string, unknown>[];
  columns: Record<string, unknown>[];
  errors: { row: number; code: string }[];
  error_count: number;
};
const parse = (csv: string, options = {}): Parsed => run({ csv, ...options }) as Parsed;

describe('how it is written is found out:', () => {
  test.each([
    [',', 'a,b\n1,2\n3,4'],
    [';', 'a;b\n1;2\n3;4'],
    ['\t', 'a\tb\n1\t2\n3\t4'],
    ['|', 'a|b\n1|2\n3|4'],
  ])('%j', (delimiter, text) => {
    const parsed = parse(text);
    expect(parsed).toMatchObject({ delimiter, headers: ['a', 'b'], total_rows: 2 });
    expect(parsed.data).toEqual([
      { a: 1, b: 2 },
      { a: 3, b: 4 },
    ]);
  });

  test('quoted fields keep delimiters, line breaks and quotes', () => {
    const parsed = parse('name,note\r\n"Doe, Jane","says ""hi""\r\nand goes"\r\n');
    expect(parsed.data).toEqual([{ name: 'Doe, Jane', note: 'says "hi"\r\nand goes' }]);
  });

  test('a byte order mark is no part of a name', () => expect(parse('\uFEFFa,b\n1,2').headers).toEqual(['a', 'b']));
  test('rows of numbers have no header', () => {
    const parsed = parse('1,2\n3,4');
    expect(parsed).toMatchObject({ has_header: false, headers: ['column_1', 'column_2'], total_rows: 2 });
  });
  test('what the caller says beats what it looks like', () => {
    expect(parse('a,b\n1,2', { header: false })).toMatchObject({ total_rows: 2, headers: ['column_1', 'column_2'] });
    expect(parse('a;b,c\n1;2,3', { delimiter: ',' }).headers).toEqual(['a;b', 'c']);
  });
  test('names that come twice or not at all are made different', () =>
    expect(parse('a,a,\n1,2,3', { header: true }).headers).toEqual(['a', 'a_2', 'column_3']));
  test('a column named as what objects inherit is one like any other', () =>
    expect(JSON.stringify(parse('__proto__,constructor\n1,2').data)).toBe('[{"__proto__":1,"constructor":2}]'));
});

describe('columns are typed', () => {
  const text = [
    'id,price,ok,day,zip,note',
    '1,1.5,true,2026-01-31,01234,a',
    '2,"1,000",no,2026-02-01,00001,',
    '3,,yes,2026-02-02,00001,b',
  ].join('\n');
  test('as what all of their values are, and empty is nothing', () =>
    expect(parse(text).data).toEqual([
      { id: 1, price: 1.5, ok: true, day: '2026-01-31', zip: '01234', note: 'a' },
      { id: 2, price: 1000, ok: false, day: '2026-02-01', zip: '00001', note: '' },
      { id: 3, price: null, ok: true, day: '2026-02-02', zip: '00001', note: 'b' },
    ]));
  test('and told with their figures', () => {
    const [id, price, ok, day, zip] = parse(text).columns;
    expect(id).toMatchObject({ type: 'integer', count: 3, empty: 0, distinct: 3, min: 1, max: 3, mean: 2, sum: 6 });
    expect(price).toMatchObject({ type: 'number', count: 2, empty: 1, max: 1000 });
    expect(ok).toMatchObject({ type: 'boolean', true_count: 2 });
    expect(day).toMatchObject({ type: 'date', min: '2026-01-31', max: '2026-02-02' });
    expect(zip).toMatchObject({ type: 'string', distinct: 2, most_frequent: [{ value: '00001', count: 2 }] });
  });
  test('with decimal commas, where a comma ends no field', () =>
    expect(parse('a;b\n1,5;x\n1.000,25;y').data.map(({ a }) => a)).toEqual([1.5, 1000.25]));
  test('or not at all, where the caller does not want it', () =>
    expect(parse('a\n1', { types: false }).data).toEqual([{ a: '1' }]));
  test('a number that would lose digits stays text, and a day that there is not is none', () =>
    expect(parse('a,b\n12345678901234567890,2026-02-30', { header: true }).data).toEqual([
      { a: '12345678901234567890', b: '2026-02-30' },
    ]));
});

describe('wrong rows', () => {
  test('are told by their number, and what is beyond the columns is kept apart', () => {
    const parsed = parse('a,b\n1,2\n3\n4,5,6\n');
    expect(parsed.errors).toMatchObject([
      { row: 2, code: 'too_few_fields' },
      { row: 3, code: 'too_many_fields' },
    ]);
    expect(parsed.data[2]).toEqual({ a: 4, b: 5, _extra: ['6'] });
    expect(parsed.data[1]).toEqual({ a: 3, b: null });
  });
  test('with a quote that nobody closes are told', () =>
    expect(parse('a,b\n1,"2\n3,4').errors.map(({ code }) => code)).toContain('missing_quotes'));
});

test('no more rows come back than are asked for, and all are counted', () => {
  const text = `a\n${Array.from({ length: 50 }, (_, index) => index).join('\n')}`;
  expect(parse(text, { limit: 10 })).toMatchObject({ total_rows: 50, truncated: true, data: { length: 10 } });
});

test('what is no CSV is refused in words', () => {
  expect(() => run({})).toThrow('csv is required');
  expect(() => run({ csv: 'a', limit: 0 })).toThrow('limit must be');
  expect(() => run({ csv: 'a', delimiter: 'ab' })).toThrow('one character');
  expect(() => run({ csv: 'a', file_url: 'https://example.com' })).toThrow('There is no field file_url');
  expect(() => run([])).toThrow('must be an object');
  expect(run({ csv: '' })).toMatchObject({ total_rows: 0, headers: [] });
});
