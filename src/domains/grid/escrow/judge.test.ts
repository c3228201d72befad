import { expect, test } from 'vitest';
import { judge } from './judge.ts';
import { promisesOf, type Check, type OwnCheck } from './promises.ts';

const brokenBy = (output: unknown, metadata: Record<string, unknown>) =>
  judge({ output, promises: promisesOf(metadata), own: [] }).broken;
const failedBy = (output: unknown, check: Check) => brokenBy(output, { validators: [check] })?.details.error;
const ownResult = (output: unknown, own: OwnCheck) =>
  judge({ output, promises: { checks: [] }, own: [own] }).own[0]?.result;

const SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  required: ['score'],
  properties: { score: { type: 'number', minimum: 0, maximum: 1 } },
};

test('null, {} and an empty text are no delivery; an empty list, 0 and false are one', () => {
  for (const output of [null, {}, '']) expect(brokenBy(output, {})?.rule).toBe('PROOF_MISSING');
  for (const output of [[], 0, false, ' ', { a: null }]) expect(brokenBy(output, {})).toBeUndefined();
});

test('an output that its schema forbids is SCHEMA_MISMATCH and says where', () => {
  expect(brokenBy({ score: 2 }, { output_schema: SCHEMA })).toMatchObject({
    rule: 'SCHEMA_MISMATCH',
    details: { path: ['score'], got: '2' },
  });
  expect(brokenBy({ score: 1 }, { output_schema: SCHEMA })).toBeUndefined();
});

test('an output that is text is read as JSON for its schema', () => {
  expect(brokenBy('{"score": 0.5}', { output_schema: SCHEMA })).toBeUndefined();
  expect(brokenBy('positive', { output_schema: SCHEMA })?.details).toEqual({
    error: 'output_not_valid_json',
    output_preview: 'positive',
  });
});

test('Draft-07 it is: if/then/else, contains, const and tuples of items', () => {
  const when: unknown = JSON.parse('{"if": {"required": ["a"]}, "then": {"required": ["b"]}}');
  expect(brokenBy({ a: 1 }, { output_schema: when })?.rule).toBe('SCHEMA_MISMATCH');
  expect(brokenBy({ a: 1, b: 2 }, { output_schema: when })).toBeUndefined();
  expect(brokenBy([1, 'x'], { output_schema: { items: [{ type: 'number' }, { const: 'x' }] } })).toBeUndefined();
  expect(brokenBy([1, 'y'], { output_schema: { items: [{ type: 'number' }, { const: 'x' }] } })?.rule).toBe(
    'SCHEMA_MISMATCH',
  );
});

test('a schema that is none says nothing: not a type, an unresolved reference, an asynchronous one', () => {
  for (const output_schema of [
    { type: 'nonsense' },
    { $ref: 'https://elsewhere.example/schema.json' },
    { $async: true, type: 'number' },
    'text',
    [1],
  ])
    expect(brokenBy({ a: 1 }, { output_schema })).toBeUndefined();
});

test('two schemas of one $id are two schemas', () => {
  expect(brokenBy({ a: 1 }, { output_schema: { $id: 'same', required: ['a'] } })).toBeUndefined();
  expect(brokenBy({ a: 1 }, { output_schema: { $id: 'same', required: ['b'] } })?.rule).toBe('SCHEMA_MISMATCH');
});

test('length counts words and characters, by code point', () => {
  const output = { text: 'one two  three', smile: '😀😀' };
  expect(failedBy(output, { type: 'length', field: 'text', min_words: 4 })).toContain('has 3 words, minimum is 4');
  expect(failedBy(output, { type: 'length', field: 'text', max_words: 2 })).toContain('maximum is 2');
  expect(failedBy(output, { type: 'length', field: 'smile', min_chars: 2, max_chars: 2 })).toBeUndefined();
  expect(failedBy(output, { type: 'length', field: 'absent', min_words: 1 })).toBe(
    "Field 'absent' not found in output",
  );
});

test('language tells English, Spanish, German and Chinese apart', () => {
  const english = { text: 'The quick brown fox jumps over the lazy dog.' };
  expect(failedBy(english, { type: 'language', field: 'text', expected: 'en' })).toBeUndefined();
  expect(failedBy(english, { type: 'language', field: 'text', expected: 'es' })).toContain("detected as 'en'");
  const others = { es: 'Este es un resumen breve del documento.', de: 'Das ist ein kurzer Text.', zh: '这是中文文本' };
  for (const [code, text] of Object.entries(others))
    expect(failedBy({ text }, { type: 'language', field: 'text', expected: code })).toBeUndefined();
  expect(failedBy({ text: '这是中文文本' }, { type: 'language', field: 'text', expected: 'zh-cn' })).toBeUndefined();
  expect(failedBy({ text: '12345' }, { type: 'language', field: 'text', expected: 'en' })).toBeUndefined();
});

test('contains wants every text as it is written; not_contains refuses them in any case', () => {
  const output = { text: 'Hello World' };
  expect(failedBy(output, { type: 'contains', field: 'text', patterns: ['Hello', 'World'] })).toBeUndefined();
  expect(failedBy(output, { type: 'contains', field: 'text', patterns: ['hello'] })).toContain("'hello' not found");
  expect(failedBy(output, { type: 'not_contains', field: 'text', patterns: ['WORLD'] })).toContain("'WORLD' found");
  expect(failedBy(output, { type: 'not_contains', patterns: ['lorem ipsum'] })).toBeUndefined();
});

test('non_empty refuses what is missing, blank, null, or an empty collection', () => {
  const output = { a: 'x', blank: '  ', none: null, list: [], zero: 0 };
  expect(failedBy(output, { type: 'non_empty', fields: ['a', 'zero'] })).toBeUndefined();
  for (const field of ['blank', 'none', 'list', 'absent'])
    expect(failedBy(output, { type: 'non_empty', fields: ['a', field] })).toContain(`'${field}'`);
});

test('regex searches the first 10 000 characters of a field, in the spelling of Python too', () => {
  expect(failedBy({ id: 'AB-12' }, { type: 'regex', field: 'id', pattern: '^[A-Z]{2}-\\d+$' })).toBeUndefined();
  expect(failedBy({ id: 'AB-12' }, { type: 'regex', field: 'id', pattern: '^x' })).toContain('does not match');
  expect(failedBy({ id: 'AB' }, { type: 'regex', field: 'id', pattern: '(?i)^(?P<word>ab)$' })).toBeUndefined();
  expect(failedBy({ id: 'x' }, { type: 'regex', field: 'id', pattern: '(' })).toBe('Regex pattern invalid');
  const late = { text: `${'a'.repeat(10_000)}needle` };
  expect(failedBy(late, { type: 'regex', field: 'text', pattern: 'needle' })).toContain('does not match');
});

test('json_path follows names with dots and compares with an enum and with bounds', () => {
  const output = { data: { mood: 'calm', score: 0.4 } };
  expect(failedBy(output, { type: 'json_path', path: 'data.mood', enum: ['calm', 'wild'] })).toBeUndefined();
  expect(failedBy(output, { type: 'json_path', path: 'data.mood', enum: ['wild'] })).toContain('expected one of');
  expect(failedBy(output, { type: 'json_path', path: 'data.score', min: 0, max: 1 })).toBeUndefined();
  expect(failedBy(output, { type: 'json_path', path: 'data.score', min: 0.5 })).toContain('minimum is 0.5');
  expect(failedBy(output, { type: 'json_path', path: 'data.constructor.name' })).toContain('not found');
});

test('the first rule that is broken decides, and validators that nobody knows are skipped', () => {
  const metadata = {
    output_schema: SCHEMA,
    validators: [{ type: 'vibes' }, 'text', { type: 'non_empty', fields: ['note'] }],
  };
  expect(brokenBy({ score: 5 }, metadata)?.rule).toBe('SCHEMA_MISMATCH');
  expect(brokenBy({ score: 1 }, metadata)).toMatchObject({
    rule: 'VALIDATOR_FAILED',
    details: { validator_type: 'non_empty', config: { type: 'non_empty', fields: ['note'] } },
  });
});

test("a buyer's own validators pass, fail, or are in error, and what is in error is nobody's failure", () => {
  const schema = { required: ['a'] };
  expect(ownResult({ a: 1 }, { id: 'v', type: 'schema', schema })).toBe('PASS');
  expect(ownResult({ b: 1 }, { id: 'v', type: 'schema', schema })).toBe('FAIL');
  expect(ownResult({ b: 1 }, { id: 'v', type: 'schema', schema: { type: 'nonsense' } })).toBe('ERROR');
  expect(ownResult({ a: 'yes' }, { id: 'v', type: 'regex', pattern: '^yes$', field: 'a' })).toBe('PASS');
  expect(ownResult({ a: 'yes' }, { id: 'v', type: 'regex', pattern: '"no"' })).toBe('FAIL');
  expect(ownResult({ a: 'yes' }, { id: 'v', type: 'regex', pattern: '(' })).toBe('ERROR');
});
