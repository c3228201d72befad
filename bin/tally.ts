import { z } from 'zod';

export type Tally = { passed: number; failed: number };

/** What vitest's JSON report says of a run; suites that failed to load have no tests in them. */
const Report = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.object({ status: z.string() })) })),
});

/**
 * Counts a test run from its report and its exit code. What went wrong outside of any test counts as one failure, so
 * that a run can never look better than it was.
 */
export function countTests(report: string | undefined, exitCode: number | null): Tally {
  const parsed = report === undefined ? undefined : Report.safeParse(JSON.parse(report));
  if (!parsed?.success) return { passed: 0, failed: 1 };
  const { numPassedTests: passed, numFailedTests, testResults } = parsed.data;
  const brokenFiles = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const failed = numFailedTests + brokenFiles;
  const unexplained = failed === 0 && (exitCode !== 0 || passed === 0);
  return { passed, failed: unexplained ? 1 : failed };
}
