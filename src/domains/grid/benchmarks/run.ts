import type { BenchmarkId, GridTaskId, ListingId, NodeId } from '../../../kernel/ids.ts';
import { HOUR } from '../../../kernel/time.ts';
import type { CaseVerdict } from './verdict.ts';

/**
 * A skill that is put to the test. It is over when every question is answered, or too late for an answer; then nobody
 * knows, and it counts neither for the skill nor against it.
 */
export type RunState = 'running' | 'passed' | 'failed' | 'expired';

export type Run = {
  id: BenchmarkId;
  suite: string;
  skillId: ListingId;
  skillLabel: string;
  callerId: NodeId;
  state: RunState;
  /** Of each case, in the order of the suite. */
  verdicts: CaseVerdict[] | undefined;
  tasks: { caseId: number; taskId: GridTaskId }[];
  dueAt: Date;
  createdAt: Date;
  endedAt: Date | undefined;
};

/** How long its seller has to answer. */
export const RUN_TIME = HOUR;
/** Runs of one node that go on at once. */
export const MAX_RUNNING = 10;

/** What a run comes to; undefined while answers are missing that may still come. */
export function outcomeOf(verdicts: readonly CaseVerdict[], isDue: boolean): Exclude<RunState, 'running'> | undefined {
  if (verdicts.some(({ result }) => result === 'missing')) return isDue ? 'expired' : undefined;
  return verdicts.every(({ result }) => result === 'passed') ? 'passed' : 'failed';
}
