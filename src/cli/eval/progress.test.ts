import { expect, test } from 'vitest';
import { barOf, clockTime } from './progress.ts';
import { newAttempt, type Outcome, type SampleRecord } from './record.ts';

const record = (outcome: Outcome, cost: number): SampleRecord => ({
  sample_id: 'a',
  outcome,
  attempts: [{ ...newAttempt(1), cost_microcents: cost }],
});

test('a bar is as full as its run is done, and says how it went, what it cost and how long it took', () => {
  const records = [record('solved', 2_500), record('unsolved', 500), record('waiting', 0), record('error', 0)];
  expect(barOf(records, 65)).toBe('[##################------] 3/4  1 solved, 1 unsolved, 1 error  $0.003  01:05');
  expect(barOf([], 0)).toBe(`[${'-'.repeat(24)}] 0/0  0 solved, 0 unsolved  $0.00  00:00`);
});

test('hours are shown where there are any', () => {
  expect([59, 3_599, 3_661].map(clockTime)).toEqual(['00:59', '59:59', '1:01:01']);
});
