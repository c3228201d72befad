import type { TaskId } from '../../kernel/ids.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { pageOf, type Page } from '../../kernel/page.ts';
import type { Clock } from '../../kernel/time.ts';
import type { Database, Db, Tx } from '../../platform/db.ts';
import type { JobDefinition, Jobs, SweepDefinition } from '../../platform/jobs/index.ts';
import type { Log } from '../../platform/log.ts';
import type { Ledger } from '../ledger/index.ts';
import type { Machines } from '../machines/index.ts';
import type { Models } from '../models/index.ts';
import { cancel } from './cancel.ts';
import { create, type TaskRequest } from './create.ts';
import type { FinishDeps } from './finish.ts';
import { REMOVE_MACHINE, removeMachine, TEND, tend } from './jobs.ts';
import { ownTask } from './policy.ts';
import type { Step } from './step.ts';
import { stepsAfter } from './step-store.ts';
import { findTask, newestTasks } from './store.ts';
import type { ListedTask, Task } from './task.ts';
import { createWorker } from './worker.ts';

export { MARKUP_BPS } from './cost.ts';
export { MACHINE_LIMITS } from './provision.ts';
export type { Cost } from './cost.ts';
export type { TaskRequest } from './create.ts';
export { TASK_COMPLETED } from './facts.ts';
export type { ModelStep, Step, StepState, ToolStep } from './step.ts';
export {
  costNow,
  DEFAULT_TIMEOUT_SECONDS,
  hasEnded,
  MAX_BUDGET_CENTS,
  MAX_PROMPT_LENGTH,
  MAX_TIMEOUT_SECONDS,
  MIN_BUDGET_CENTS,
  MIN_PROMPT_LENGTH,
  MIN_TIMEOUT_SECONDS,
  type ErrorCode,
  type ListedTask,
  type Status,
  type Task,
} from './task.ts';

export type TasksOptions = {
  db: Database;
  clock: Clock;
  log: Log;
  jobs: Pick<Jobs, 'enqueue' | 'nudge'>;
  ledger: Ledger;
  machines: Machines;
  models: Models;
  /** What is wrong with a URL to be told at, worded to follow its name; undefined where nothing is. */
  webhookUrlProblem: (url: string) => string | undefined;
};

/** Budgeted pieces of model work, each in a machine of its own. */
export type Tasks = {
  /** `isNew` is false where the caller's idempotency key names an earlier task, which is answered. */
  create(op: AccountOp, request: TaskRequest): Promise<{ task: Task; isNew: boolean }>;
  /** Throws `not_found`, as every verb does for what is not the caller's. */
  get(op: AccountOp, id: string): Promise<Task>;
  /** The caller's newest tasks. */
  list(op: AccountOp, limit: number): Promise<ListedTask[]>;
  /** What a task did, in order, from after a number. */
  steps(op: AccountOp, id: string, page: { limit: number; after: number }): Promise<Page<Step, number>>;
  cancel(op: AccountOp, id: string): Promise<Task>;
  /** Any task, for the platform's own purposes. */
  find(db: Db, id: TaskId): Promise<Task | undefined>;
  jobs: readonly JobDefinition<never>[];
  sweeps: readonly SweepDefinition[];
  /** Takes up nothing more and hands what is under way to other workers. */
  stop(): Promise<void>;
};

export function createTasks(options: TasksOptions): Tasks {
  const { db, jobs, machines } = options;
  const removal: FinishDeps['removeMachine'] = (tx, machineId) => jobs.enqueue(tx, REMOVE_MACHINE, { machineId });
  const deps = { ...options, removeMachine: removal, callWorker: (tx: Tx) => jobs.nudge(tx, TEND) };
  const worker = createWorker(deps);
  return {
    create: (op, request) => create(deps, op, request),
    get: (op, id) => ownTask(db, op, id),
    list: (op, limit) => newestTasks(db, op.actor.accountId, limit),
    steps: async (op, id, { limit, after }) => {
      const task = await ownTask(db, op, id);
      return pageOf(await stepsAfter(db, task.id, after, limit + 1), limit, (step) => step.number);
    },
    cancel: async (op, id) => {
      const task = await cancel(deps, op, id);
      worker.drop(task.id);
      return task;
    },
    find: findTask,
    jobs: [removeMachine(machines)],
    sweeps: [tend({ ...deps, worker })],
    stop: () => worker.stop(),
  };
}
