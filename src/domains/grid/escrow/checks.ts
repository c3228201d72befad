import { detectLanguage } from './language.ts';
import { searchPattern } from './pattern.ts';
import type { Check } from './promises.ts';

/** Characters of a field that a pattern is tried on. */
const MAX_MATCHED_LENGTH = 10_000;

/** What is wrong with an output by one check; undefined where nothing is, or where the check itself says nothing. */
type Examine = (output: unknown, check: Check) => string | undefined;

const EXAMINE: Record<string, Examine> = {
  length: examineLength,
  language: examineLanguage,
  contains: examineContains,
  not_contains: examineNotContains,
  non_empty: examineNonEmpty,
  regex: examineRegex,
  json_path: examineJsonPath,
};

export type FailedCheck = { validator_type: string; config: Check; error: string };

/** The first check that an output does not pass. Types that we do not know are skipped. */
export function firstFailedCheck(output: unknown, checks: readonly Check[]): FailedCheck | undefined {
  for (const check of checks) {
    const type = typeof check.type === 'string' ? check.type : '';
    const error = Object.hasOwn(EXAMINE, type) ? EXAMINE[type]?.(output, check) : undefined;
    if (error !== undefined) return { validator_type: type, config: check, error };
  }
  return undefined;
}

function examineLength(output: unknown, check: Check): string | undefined {
  const field = textOr(check.field, '');
  const value = fieldOf(output, field);
  if (value === undefined) return missing(field);
  const text = asText(value);
  const counts = { words: text.split(/\s+/).filter(Boolean).length, chars: [...text].length };
  for (const unit of ['words', 'chars'] as const) {
    const [min, max] = [numberOr(check[`min_${unit}`], 0), numberOr(check[`max_${unit}`], Infinity)];
    if (counts[unit] < min) return `Field '${field}' has ${counts[unit]} ${unit}, minimum is ${min}`;
    if (counts[unit] > max) return `Field '${field}' has ${counts[unit]} ${unit}, maximum is ${max}`;
  }
  return undefined;
}

function examineLanguage(output: unknown, check: Check): string | undefined {
  const field = textOr(check.field, '');
  const expected = textOr(check.expected, '').toLowerCase();
  const value = fieldOf(output, field);
  if (value === undefined) return missing(field);
  const detected = detectLanguage(asText(value));
  // A text of which no language can be told is not held against its seller. zh-cn and zh-tw are both zh.
  if (detected === undefined || expected === '' || detected === expected.split('-', 1)[0]) return undefined;
  return `Field '${field}' detected as '${detected}', expected '${expected}'`;
}

function examineContains(output: unknown, check: Check): string | undefined {
  const text = searched(output, check);
  const absent = textsOf(check.patterns).find((pattern) => !text.includes(pattern));
  return absent === undefined ? undefined : `Required pattern '${absent}' not found in ${placeOf(check)}`;
}

function examineNotContains(output: unknown, check: Check): string | undefined {
  const text = searched(output, check).toLowerCase();
  const present = textsOf(check.patterns).find((pattern) => text.includes(pattern.toLowerCase()));
  return present === undefined ? undefined : `Forbidden pattern '${present}' found in ${placeOf(check)}`;
}

function examineNonEmpty(output: unknown, check: Check): string | undefined {
  for (const field of textsOf(check.fields)) {
    const value = fieldOf(output, field);
    if (value === undefined || value === null || (typeof value === 'string' && value.trim() === ''))
      return `Field '${field}' is empty or missing`;
    if (typeof value === 'object' && Object.keys(value).length === 0) return `Field '${field}' is empty collection`;
  }
  return undefined;
}

function examineRegex(output: unknown, check: Check): string | undefined {
  const field = textOr(check.field, '');
  const value = fieldOf(output, field);
  if (value === undefined) return `Field '${field}' not found`;
  const pattern = textOr(check.pattern, '');
  // What is no pattern is a promise that nobody can keep.
  const found = searchPattern(pattern, asText(value).slice(0, MAX_MATCHED_LENGTH));
  if (found === 'invalid') return 'Regex pattern invalid';
  return found === 'found' ? undefined : `Field '${field}' does not match pattern '${pattern}'`;
}

function examineJsonPath(output: unknown, check: Check): string | undefined {
  const path = textOr(check.path, '');
  const value = at(output, path);
  if (value === undefined || value === null) return `Path '${path}' not found in output`;
  const choices = Array.isArray(check.enum) ? check.enum.map((choice) => JSON.stringify(choice)) : [];
  if (choices.length > 0 && !choices.includes(JSON.stringify(value)))
    return `Value at '${path}' is '${asText(value)}', expected one of [${choices.join(', ')}]`;
  const { min, max } = check;
  if (typeof min !== 'number' && typeof max !== 'number') return undefined;
  if (typeof value !== 'number') return `Value at '${path}' is not a number`;
  if (typeof min === 'number' && value < min) return `Value at '${path}' is ${value}, minimum is ${min}`;
  if (typeof max === 'number' && value > max) return `Value at '${path}' is ${value}, maximum is ${max}`;
  return undefined;
}

/** A value behind names with dots between them. Only what JSON says is there: no inherited names. */
function at(value: unknown, path: string): unknown {
  let current = value;
  for (const name of path.split('.')) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, name)) return undefined;
    current = (current as Record<string, unknown>)[name];
  }
  return current;
}

/** A field at the top, or the whole output where none is named. */
function fieldOf(output: unknown, field: string): unknown {
  if (field === '') return asText(output);
  return typeof output === 'object' && output !== null && Object.hasOwn(output, field)
    ? (output as Record<string, unknown>)[field]
    : undefined;
}

const searched = (output: unknown, check: Check): string => asText(fieldOf(output, textOr(check.field, '')) ?? '');
const placeOf = (check: Check): string => (typeof check.field === 'string' ? `field ${check.field}` : 'output');
const missing = (field: string): string => `Field '${field}' not found in output`;
const asText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
const textOr = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);
const numberOr = (value: unknown, otherwise: number): number =>
  typeof value === 'number' && value !== 0 ? value : otherwise;
const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((text): text is string => typeof text === 'string') : [];
