import { expect, test } from 'vitest';
import { exampleOf, fieldsOf, typeText } from './shape.ts';

test('a type is told in a few words', () => {
  expect(typeText({ type: 'string', minLength: 10, maxLength: 50 })).toBe('string, 10–50 characters');
  expect(typeText({ type: 'integer', minimum: 1, maximum: 100, default: 20 })).toBe('integer, 1–100, default 20');
  expect(typeText({ type: 'string', maxLength: 5 })).toBe('string, up to 5 characters');
  expect(typeText({ anyOf: [{ type: 'string', format: 'date-time' }, { type: 'null' }] })).toBe('time, or null');
  expect(typeText({ type: 'string', enum: ['read', 'write'] })).toBe('one of "read", "write"');
  expect(typeText({ type: 'array', items: { type: 'string', format: 'uuid' } })).toBe('array of UUID');
  expect(typeText({ type: 'boolean', const: true })).toBe('true');
  expect(typeText({})).toBe('any JSON');
});

test('the fields of inner objects have the path to them', () => {
  const inner = {
    type: 'object',
    properties: { slug: { type: 'string', description: 'Its name.' } },
    required: ['slug'],
  };
  const schema = { type: 'object', properties: { data: { type: 'array', items: inner } } };
  expect(fieldsOf(schema)).toEqual([
    { name: 'data', type: 'array of object', required: false, description: undefined },
    { name: 'data[].slug', type: 'string', required: true, description: 'Its name.' },
  ]);
});

test('alternatives show each field once', () => {
  const kind = (value: string, other: string) => ({
    type: 'object',
    properties: { kind: { type: 'string', const: value }, [other]: { type: 'integer' } },
    required: ['kind', other],
  });
  expect(fieldsOf({ oneOf: [kind('a', 'x'), kind('b', 'y')] }).map(({ name }) => name)).toEqual(['kind', 'x', 'y']);
});

test('an example takes what the schema says', () => {
  const schema = {
    type: 'object',
    properties: {
      prompt: { type: 'string', examples: ['Do it'] },
      limit: { type: 'integer', default: 20 },
      at: {
        anyOf: [{ type: 'string', format: 'date-time', examples: ['2026-01-01T00:00:00.000Z'] }, { type: 'null' }],
      },
      list: { type: 'array', items: { enum: ['a', 'b'] } },
    },
    required: ['prompt'],
  };
  expect(exampleOf(schema)).toEqual({ prompt: 'Do it', limit: 20, at: '2026-01-01T00:00:00.000Z', list: ['a'] });
  expect(exampleOf(schema, 'required')).toEqual({ prompt: 'Do it' });
});
