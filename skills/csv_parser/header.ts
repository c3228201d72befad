import { kindOf } from './column.ts';

/** Rows that are compared with the first. */
const LOOKED_AT = 100;

/**
 * Whether the first row names the columns: all of its cells are different words, and below one of them stands what is
 * no word, or nothing speaks against it.
 */
export function looksLikeHeader(data: readonly string[][]): boolean {
  const [first = [], ...rest] = data.slice(0, LOOKED_AT);
  const words = first.every((cell) => cell.trim() !== '' && kindOf(cell) === 'string');
  if (!words || new Set(first).size < first.length) return false;
  if (rest.length === 0) return true;
  const isMixed = first.some((_, index) => rest.some((row) => !['string', 'empty'].includes(kindOf(row[index] ?? ''))));
  // Names do not come again among the values.
  return isMixed || first.every((cell, index) => rest.every((row) => row[index] !== cell));
}

/** A name for each column, all different. */
export function namesOf(header: readonly string[] | undefined, width: number): string[] {
  const taken = new Set<string>();
  return Array.from({ length: width }, (_, index) => {
    const wanted = header?.[index]?.trim() || `column_${index + 1}`;
    let name = wanted;
    for (let number = 2; taken.has(name); number += 1) name = `${wanted}_${number}`;
    taken.add(name);
    return name;
  });
}
