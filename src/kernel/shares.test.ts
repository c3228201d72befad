import { expect, test } from 'vitest';
import { createShares } from './shares.ts';

test('one may have its most and no more, and has it again when it is given back', () => {
  const shares = createShares<string>({ each: 3, all: 100 });
  expect([1, 2, 3, 4].map(() => shares.take('a'))).toEqual([true, true, true, false]);
  shares.give('a');
  expect([shares.of('a'), shares.take('a'), shares.of('a'), shares.of('b')]).toEqual([2, true, 3, 0]);
  shares.give('a', 3);
  expect([shares.take('a', 3), shares.take('a', 1)]).toEqual([true, false]);
});

test('a few who take all that they can leave the others an equal part, and nothing ever exceeds the whole', () => {
  const shares = createShares<string>({ each: 50, all: 100 });
  const takeAll = (who: string) => {
    while (shares.take(who)) continue;
    return shares.of(who);
  };
  expect(takeAll('greedy')).toBe(50);
  expect(takeAll('second')).toBe(25);
  const others = Array.from({ length: 20 }, (_, index) => takeAll(`other ${index}`));
  expect(others[0]).toBe(16);
  expect(others.reduce((sum, one) => sum + one, 75)).toBe(100);
});

test('what is given back twice is not had twice', () => {
  const shares = createShares<string>({ each: 2, all: 4 });
  shares.take('a');
  shares.give('a');
  shares.give('a');
  expect([1, 2, 3].map(() => shares.take('a'))).toEqual([true, true, false]);
});
