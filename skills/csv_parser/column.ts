export type Kind = 'empty' | 'integer' | 'number' | 'boolean' | 'date' | 'string';

/** What is told of a column; of each kind only what it has. */
type Shown = {
  name: string;
  type: Kind;
  count: number;
  empty: number;
  distinct: number;
  distinct_is_capped?: boolean;
  min?: number | string;
  max?: number | string;
  mean?: number;
  sum?: number;
  true_count?: number;
  shortest?: number;
  longest?: number;
  most_frequent?: { value: string; count: number }[];
};

export type Column = { shown: Shown; read(cell: string): unknown };

/** Different values that are counted in a column. */
const MAX_DISTINCT = 10_000;
const MAX_FREQUENT = 3;
const MAX_FREQUENT_LENGTH = 200;

/** No leading zeros: what is written 007 is a name. */
const INTEGER = /^[+-]?(0|[1-9]\d{0,2}(,\d{3})+|[1-9]\d*)$/;
const NUMBER = /^[+-]?((0|[1-9]\d{0,2}(,\d{3})+|[1-9]\d*)(\.\d+)?|\.\d+)([eE][+-]?\d{1,3})?$/;
const DECIMAL_COMMA = /^[+-]?(0|[1-9]\d{0,2}(\.\d{3})+|[1-9]\d*)(,\d+)?$/;
const BOOLEAN = /^(true|false|yes|no)$/i;
const DATE = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

export function kindOf(cell: string): Kind {
  const text = cell.trim();
  if (text === '') return 'empty';
  if (INTEGER.test(text) && Number.isSafeInteger(numberOf(text))) return 'integer';
  if (NUMBER.test(text) && !INTEGER.test(text)) return 'number';
  if (BOOLEAN.test(text)) return 'boolean';
  return DATE.test(text) && isDay(text) ? 'date' : 'string';
}

const isDay = (text: string): boolean => {
  const day = text.slice(0, 10);
  const at = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(day);
};

const numberOf = (text: string): number => Number(text.replaceAll(',', ''));
const europeanNumberOf = (text: string): number => Number(text.replaceAll('.', '').replace(',', '.'));

/** A column has a type where all that is not empty has it; whole numbers are numbers as well. */
export function columnOf(name: string, cells: readonly string[], delimiter: string): Column {
  const filled = cells.map((cell) => cell.trim()).filter((cell) => cell !== '');
  const type = typeOf(filled);
  const basis = { name, type, count: filled.length, empty: cells.length - filled.length, ...distinctOf(filled) };
  if (type === 'string' && delimiter !== ',' && isDecimalComma(filled))
    return {
      shown: { ...basis, type: 'number', ...figures(filled.map(europeanNumberOf)) },
      read: reader(europeanNumberOf),
    };
  if (type === 'integer' || type === 'number')
    return { shown: { ...basis, ...figures(filled.map(numberOf)) }, read: reader(numberOf) };
  if (type === 'boolean') {
    const isTrue = (text: string): boolean => /^(true|yes)$/i.test(text);
    return { shown: { ...basis, true_count: filled.filter(isTrue).length }, read: reader(isTrue) };
  }
  if (type === 'date') return { shown: { ...basis, ...ends(filled) }, read: reader((text) => text) };
  return { shown: { ...basis, ...lengths(filled) }, read: (cell) => (type === 'empty' ? null : cell) };
}

const reader =
  (read: (text: string) => unknown) =>
  (cell: string): unknown =>
    cell.trim() === '' ? null : read(cell.trim());

function typeOf(filled: readonly string[]): Kind {
  const kinds = new Set(filled.map(kindOf));
  const [only] = kinds;
  if (kinds.size <= 1) return only ?? 'empty';
  return [...kinds].every((kind) => kind === 'integer' || kind === 'number') ? 'number' : 'string';
}

const isDecimalComma = (filled: readonly string[]): boolean =>
  filled.every((cell) => DECIMAL_COMMA.test(cell)) && filled.some((cell) => cell.includes(','));

function distinctOf(filled: readonly string[]): Pick<Shown, 'distinct' | 'distinct_is_capped' | 'most_frequent'> {
  const counts = new Map<string, number>();
  for (const cell of filled) {
    const before = counts.get(cell);
    if (before !== undefined || counts.size < MAX_DISTINCT) counts.set(cell, (before ?? 0) + 1);
  }
  const isCapped = counts.size === MAX_DISTINCT;
  const frequent = [...counts]
    .filter(([, times]) => times > 1)
    .sort((a, b) => b[1] - a[1])
    .slice(0, MAX_FREQUENT)
    .map(([value, times]) => ({ value: value.slice(0, MAX_FREQUENT_LENGTH), count: times }));
  return {
    distinct: counts.size,
    ...(isCapped && { distinct_is_capped: true }),
    ...(frequent.length > 0 && { most_frequent: frequent }),
  };
}

function figures(numbers: readonly number[]): Pick<Shown, 'min' | 'max' | 'mean' | 'sum'> {
  let [min, max, sum] = [Infinity, -Infinity, 0];
  for (const number of numbers) {
    min = Math.min(min, number);
    max = Math.max(max, number);
    sum += number;
  }
  return { min, max, mean: sum / numbers.length, sum };
}

function ends(dates: readonly string[]): Pick<Shown, 'min' | 'max'> {
  let [min, max] = [dates[0] ?? '', dates[0] ?? ''];
  for (const date of dates) {
    if (date < min) min = date;
    if (date > max) max = date;
  }
  return { min, max };
}

function lengths(filled: readonly string[]): Pick<Shown, 'shortest' | 'longest'> {
  if (filled.length === 0) return {};
  let [shortest, longest] = [Infinity, 0];
  for (const { length } of filled) {
    shortest = Math.min(shortest, length);
    longest = Math.max(longest, length);
  }
  return { shortest, longest };
}
