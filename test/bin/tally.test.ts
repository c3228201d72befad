import { expect, test } from 'vitest';
import { countAgain, countTests, failedFiles, unsteadyTests } from '../../bin/tally.ts';

const tests = (status: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({ fullName: `${status} ${index}`, status }));
const file = (name: string, passed: number, failed: number) => ({
  name,
  status: failed === 0 ? 'passed' : 'failed',
  assertionResults: [...tests('passed', passed), ...tests('failed', failed)],
});
const broken = (name: string) => ({ name, status: 'failed', assertionResults: [] });
const report = (...testResults: object[]): string => JSON.stringify({ testResults });

test('a run is counted as it was', () => {
  expect(countTests(report(file('a', 4, 0), file('b', 3, 0)), 0)).toEqual({ passed: 7, failed: 0 });
  expect(countTests(report(file('a', 4, 0), file('b', 3, 2)), 1)).toEqual({ passed: 7, failed: 2 });
});

test('a file that could not be loaded counts as a failure', () => {
  expect(countTests(report(file('a', 7, 0), broken('b')), 1)).toEqual({ passed: 7, failed: 1 });
});

test('a run without a report, without tests, or with errors outside of tests is a failure', () => {
  expect(countTests(undefined, 0)).toEqual({ passed: 0, failed: 1 });
  expect(countTests(report(), 0)).toEqual({ passed: 0, failed: 1 });
  expect(countTests(report(file('a', 7, 0)), 1)).toEqual({ passed: 7, failed: 1 });
  expect(countTests(report(file('a', 7, 0)), null)).toEqual({ passed: 7, failed: 1 });
});

test('of files that failed, the run in which they were alone counts, and what passed only there is named', () => {
  const whole = report(file('a', 4, 0), file('b', 3, 1), broken('c'));
  expect(failedFiles(whole)).toEqual(['b', 'c']);
  const steady = {
    ...file('b', 3, 0),
    assertionResults: [...tests('passed', 3), { fullName: 'failed 0', status: 'passed' }],
  };
  const alone = report(steady, file('c', 2, 0));
  expect(countAgain(whole, alone, 0)).toEqual({ passed: 10, failed: 0 });
  expect(unsteadyTests(whole, alone)).toEqual(['b: failed 0', 'c']);
});

test('what fails alone as well is a failure, and nothing of it is called unsteady', () => {
  const whole = report(file('a', 4, 0), file('b', 3, 2));
  const alone = report(file('b', 3, 2));
  expect(countAgain(whole, alone, 1)).toEqual({ passed: 7, failed: 2 });
  expect(unsteadyTests(whole, alone)).toEqual([]);
  expect(countAgain(whole, undefined, 1)).toEqual({ passed: 4, failed: 1 });
});
