import { expect, test } from 'vitest';
import { countTests } from '../../bin/tally.ts';

const report = (passed: number, failed: number, files: object[] = []): string =>
  JSON.stringify({ numPassedTests: passed, numFailedTests: failed, testResults: files });

test('a run is counted as it was', () => {
  expect(countTests(report(7, 0), 0)).toEqual({ passed: 7, failed: 0 });
  expect(countTests(report(7, 2), 1)).toEqual({ passed: 7, failed: 2 });
});

test('a file that could not be loaded counts as a failure', () => {
  const broken = { status: 'failed', assertionResults: [] };
  expect(countTests(report(7, 0, [broken]), 1)).toEqual({ passed: 7, failed: 1 });
});

test('a run without a report, without tests, or with errors outside of tests is a failure', () => {
  expect(countTests(undefined, 0)).toEqual({ passed: 0, failed: 1 });
  expect(countTests(report(0, 0), 0)).toEqual({ passed: 0, failed: 1 });
  expect(countTests(report(7, 0), 1)).toEqual({ passed: 7, failed: 1 });
  expect(countTests(report(7, 0), null)).toEqual({ passed: 7, failed: 1 });
});
