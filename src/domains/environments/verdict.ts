import type { Outcome, Outcomes } from './junit.ts';
import type { Grading, SampleText } from './sample.ts';

/** Whether a piece of work solves its sample, and what became of each test. */
export type Verdict = {
  isSuccess: boolean;
  passes: string[];
  failures: string[];
  skips: string[];
};

/** How SWE-bench names what came of a sample. */
export type Resolution = 'RESOLVED_FULL' | 'RESOLVED_PARTIAL' | 'RESOLVED_NO';

/**
 * Full: all tests that are to pass do. Partial: something that failed passes, and nothing that passed fails. A test that
 * was skipped or did not run has not passed.
 */
export function resolutionOf({ failToPass, passToPass }: Expected, passes: readonly string[]): Resolution {
  const passed = new Set(passes);
  const fixed = failToPass.filter((name) => passed.has(name)).length;
  if (!passToPass.every((name) => passed.has(name))) return 'RESOLVED_NO';
  if (fixed === failToPass.length) return 'RESOLVED_FULL';
  return fixed > 0 ? 'RESOLVED_PARTIAL' : 'RESOLVED_NO';
}

/** What a verifier left: reports of tests, a reward as Harbor has it, its exit code where it ended by itself. */
export type Evidence = { outcomes: Outcomes; reward: number | undefined; exitCode: number | undefined };

type Expected = Pick<SampleText, 'failToPass' | 'passToPass' | 'failToFail'>;

/**
 * A sample that names its tests is solved as the dataset grades. `strict`: those that are to pass are exactly those
 * that did, and those that are to fail exactly those that did; what was skipped is ignored unless it is to pass.
 * `subset`: all that are to pass did. A sample without names is solved when its verifier says so.
 */
export function verdictOf(expected: Expected, grading: Grading, evidence: Evidence): Verdict {
  const named = (wanted: Outcome): string[] =>
    [...evidence.outcomes].flatMap(([name, outcome]) => (outcome === wanted ? [name] : [])).toSorted();
  const [passes, failures, skips] = [named('passed'), named('failed'), named('skipped')];
  const toPass = new Set([...expected.failToPass, ...expected.passToPass]);
  const isSuccess =
    toPass.size === 0
      ? saysSo(evidence, passes, failures)
      : isCovered(toPass, passes) &&
        (grading === 'subset' || (passes.length === toPass.size && isSame(new Set(expected.failToFail), failures)));
  return { isSuccess, passes, failures, skips };
}

const isCovered = (wanted: ReadonlySet<string>, found: readonly string[]): boolean => wanted.isSubsetOf(new Set(found));
const isSame = (wanted: ReadonlySet<string>, found: readonly string[]): boolean =>
  wanted.size === found.length && isCovered(wanted, found);

const SOLVED = 1;

function saysSo({ reward, exitCode }: Evidence, passes: string[], failures: string[]): boolean {
  if (reward !== undefined) return reward >= SOLVED;
  return exitCode === 0 && passes.length > 0 && failures.length === 0;
}
