import type { Op } from '../../kernel/op.ts';
import type { Clock } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import type { Log } from '../../platform/log.ts';
import type { Machines } from '../machines/index.ts';
import type { Json, Models } from '../models/index.ts';
import type { FinishDeps } from './finish.ts';
import type { Holding } from './holding-store.ts';
import type { Step } from './step.ts';
import type { Ending, Task } from './task.ts';

/** A task that this process has taken up. */
export type Run = {
  readonly holding: Holding;
  task: Task;
  steps: Step[];
  /** Aborted with a `Halt` as its reason. */
  readonly halt: AbortController;
  /** What the command that is under way has printed so far. */
  progress?: Progress | undefined;
  /** `leaving`: stops after the step that is under way. */
  mode: 'working' | 'leaving';
};

export type Progress = { step: number; look: () => Json; saved: string };

export type RunDeps = FinishDeps & { db: Database; clock: Clock; machines: Machines; models: Models; log: Log };

/** How a run stops: the task ends so, or it is not ours any more (`gone`). */
export type Stop = Ending | 'gone';

/** Why a run is stopped from outside. */
export class Halt extends Error {
  readonly stop: Stop;

  constructor(stop: Stop) {
    super('The run was halted');
    this.stop = stop;
  }
}

/** What the halt of a run says. */
export function haltedBy({ halt }: Run): Stop {
  const reason: unknown = halt.signal.reason;
  return reason instanceof Halt ? reason.stop : 'gone';
}

/** For what a run does in its machine and with its model: ends at once when the run is halted. */
export const workOp = (deps: { clock: Clock }, run: Run): Op => ({ ...recordOp(deps, run), signal: run.halt.signal });

/** For what a run writes down: is done also when the run is halted. */
export const recordOp = ({ clock }: { clock: Clock }, run: Run): Op => ({
  actor: { kind: 'system', name: 'tasks' },
  requestId: `task-${run.task.id}`,
  now: clock.now(),
  signal: new AbortController().signal,
});
