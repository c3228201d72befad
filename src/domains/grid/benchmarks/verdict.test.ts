import { afterAll, describe, expect, test } from 'vitest';
import { createCourt } from '../escrow/court.ts';
import { findSuite, SUITES, timesAsked, type BenchmarkCase } from './suite.ts';
import { judgeCase } from './verdict.ts';

const court = createCourt();
afterAll(() => court.close());

const judge = async (asked: BenchmarkCase, answers: (Record<string, unknown> | undefined)[], schema?: unknown) =>
  (await judgeCase(court, asked, answers, schema)).result;
const FIELD: BenchmarkCase = { input: {}, check: 'field_match', field: 'sentiment', expected: 'positive' };
const TWICE: BenchmarkCase = { input: {}, check: 'consistent_keys' };
const SCHEMA: BenchmarkCase = { input: {}, check: 'schema_valid' };

describe('a case is passed', () => {
  test('by the value that was asked for, however it is written', async () => {
    expect(await judge(FIELD, [{ sentiment: ' Positive ' }])).toBe('passed');
    expect(await judge(FIELD, [{ sentiment: 'negative' }])).toBe('failed');
    expect(await judge(FIELD, [{ sentiment: 1 }])).toBe('failed');
    expect(await judge(FIELD, [{}])).toBe('failed');
    expect(await judge({ ...FIELD, field: 'constructor' }, [{}])).toBe('failed');
  });

  test('by answers of the same shape, whatever is in them', async () => {
    expect(
      await judge(TWICE, [
        { a: 1, b: ['x'] },
        { b: ['y', 'z'], a: 2 },
      ]),
    ).toBe('passed');
    expect(await judge(TWICE, [{ a: 1 }, { a: '1' }])).toBe('failed');
    expect(await judge(TWICE, [{ a: 1 }, { a: 1, b: 2 }])).toBe('failed');
    expect(await judge(TWICE, [{ a: { b: null } }, { a: { b: 1 } }])).toBe('failed');
  });

  test('by an answer that matches the declared schema', async () => {
    const schema = { type: 'object', required: ['rows'], properties: { rows: { type: 'array' } } };
    expect(await judge(SCHEMA, [{ rows: [] }], schema)).toBe('passed');
    expect(await judge(SCHEMA, [{ rows: 'none' }], schema)).toBe('failed');
  });
});

test('a case that is not answered whole is missing', async () => {
  expect(await judge(FIELD, [undefined])).toBe('missing');
  expect(await judge(TWICE, [{ a: 1 }, undefined])).toBe('missing');
});

test('there are the three suites of the contract', () => {
  expect(SUITES.map(({ id, cases }) => [id, cases.length])).toEqual([
    ['sentiment_basic', 5],
    ['schema_compliance', 1],
    ['deterministic_echo', 1],
  ]);
  expect(findSuite('deterministic_echo')?.cases.map(timesAsked)).toEqual([2]);
  expect(findSuite('constructor')).toBeUndefined();
});
