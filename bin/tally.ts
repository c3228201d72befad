import { z } from 'zod';

export type Tally = { passed: number; failed: number };

const FileReport = z.object({
  name: z.string(),
  status: z.string(),
  assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })),
});
type FileReport = z.infer<typeof FileReport>;

/** What vitest's JSON report says of a run; files that failed to load have no tests in them. */
const Report = z.object({ testResults: z.array(FileReport) });

/**
 * Counts a test run from its report and its exit code. What went wrong outside of any test counts as one failure, so
 * that a run can never look better than it was.
 */
export function countTests(report: string | undefined, exitCode: number | null): Tally {
  const files = filesOf(report);
  if (!files) return { passed: 0, failed: 1 };
  const passed = countIn(files, 'passed');
  const failed = countIn(files, 'failed') + files.filter(isBroken).length;
  const unexplained = failed === 0 && (exitCode !== 0 || passed === 0);
  return { passed, failed: unexplained ? 1 : failed };
}

/** The files with a failure in them, by path. */
export const failedFiles = (report: string | undefined): string[] =>
  (filesOf(report) ?? []).filter(hasFailed).map(({ name }) => name);

/** A whole run whose failed files have been run once more, alone: of these the second run counts, of all others the first. */
export function countAgain(whole: string | undefined, alone: string | undefined, exitCode: number | null): Tally {
  const others = (filesOf(whole) ?? []).filter((file) => !hasFailed(file));
  const again = countTests(alone, exitCode);
  return { passed: countIn(others, 'passed') + again.passed, failed: again.failed };
}

/** What failed among others and passed alone: its full names, for whoever has to mend it. */
export function unsteadyTests(whole: string | undefined, alone: string | undefined): string[] {
  const passedAlone = new Set(testsIn(filesOf(alone) ?? [], 'passed'));
  const files = filesOf(whole) ?? [];
  const broken = files.filter(isBroken).map(({ name }) => name);
  return [...testsIn(files, 'failed').filter((test) => passedAlone.has(test)), ...broken];
}

function filesOf(report: string | undefined): FileReport[] | undefined {
  const parsed = report === undefined ? undefined : Report.safeParse(JSON.parse(report));
  return parsed?.success ? parsed.data.testResults : undefined;
}

const isBroken = ({ status, assertionResults }: FileReport): boolean =>
  status === 'failed' && !assertionResults.some((test) => test.status === 'failed');

const hasFailed = (file: FileReport): boolean =>
  isBroken(file) || file.assertionResults.some(({ status }) => status === 'failed');

const countIn = (files: readonly FileReport[], status: string): number => testsIn(files, status).length;

const testsIn = (files: readonly FileReport[], wanted: string): string[] =>
  files.flatMap(({ name, assertionResults }) =>
    assertionResults.filter(({ status }) => status === wanted).map(({ fullName }) => `${name}: ${fullName}`),
  );
