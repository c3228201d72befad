import { expect, test } from 'vitest';
import { toDecimal } from '../../../kernel/money.ts';
import { CAPABILITIES, findCapability, labelsOf } from './capability.ts';

test('there are the thirty capabilities of the contract, each once, with a price and a time', () => {
  expect(CAPABILITIES).toHaveLength(30);
  expect(new Set(CAPABILITIES.map(({ name }) => name)).size).toBe(30);
  const shown = (name: string) => {
    const { typicalPrice, etaSeconds } = findCapability(name) ?? expect.fail(`no ${name}`);
    return [toDecimal(typicalPrice, 'TCK'), etaSeconds];
  };
  expect(shown('web-research')).toEqual(['1.0000', 30]);
  expect(shown('language-detector')).toEqual(['0.1000', 10]);
  expect(shown('report-compiler')).toEqual(['0.5000', 20]);
});

test('a name that is none is none, also one that every object has', () => {
  expect(findCapability('does-not-exist')).toBeUndefined();
  expect(findCapability('constructor')).toBeUndefined();
});

test('a label may be written in three ways', () =>
  expect(labelsOf({ name: 'csv-parser' })).toEqual(['csv_parser', 'csv-parser', 'csv parser']));
