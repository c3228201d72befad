import type { AccountId, MachineId, TaskId, TransferId } from '../../kernel/ids.ts';
import type { Usd } from '../../kernel/money.ts';
import { elapsedMs, SECOND } from '../../kernel/time.ts';
import type { Json } from '../models/index.ts';
import { affordableSeconds, costOf, secondsBegun, type Cost } from './cost.ts';

/** A budgeted piece of model work: one prompt, one machine, one result. */
export type Task = {
  id: TaskId;
  accountId: AccountId;
  status: Status;
  prompt: string;
  modelSlug: string;
  budgetCents: number;
  timeoutSeconds: number;
  webhookUrl: string | undefined;
  /** The hold of the whole budget; settled in the transaction that ends the task. */
  holdId: TransferId;
  createdAt: Date;
  /** When a worker first took it up. */
  startedAt: Date | undefined;
  /** When its machine was ready: from here on machine time is billed and the timeout counts. */
  runningAt: Date | undefined;
  completedAt: Date | undefined;
  machineId: MachineId | undefined;
  /** When its worker was last heard of, by the platform's clock. */
  beatAt: Date | undefined;
  /** Time after `runningAt` in which no worker had it: neither billed nor counted. */
  idleMs: number;
  /** How often a machine was asked for, and how often that failed for another reason than a full host. */
  machineTries: number;
  machineFailures: number;
  /** How often the task was found left behind by a worker. */
  recoveries: number;
  /** Model calls so far at list price. */
  inference: Usd;
  /** What the model has said so far. */
  partialText: string | undefined;
  /** Set when the task has ended. */
  settled: Cost | undefined;
  result: Result | undefined;
  error: TaskError | undefined;
};

/** A task in a list: without what it brought, and with the beginning of its prompt. */
export type ListedTask = Omit<Task, 'result' | 'partialText'>;
export const LISTED_PROMPT_CHARACTERS = 200;

export type Status = 'queued' | 'provisioning' | 'running' | EndStatus;
export type EndStatus = 'succeeded' | 'failed' | 'timed_out' | 'cancelled';
export type ErrorCode = 'EXECUTION_ERROR' | 'TIMEOUT' | 'BUDGET_EXHAUSTED' | 'PROVISIONING_FAILED' | 'CANCELLED';
export type TaskError = { code: ErrorCode; message: string };
/** What a task has brought; of one that failed, as much as there was. */
export type Result = { text: string; json: Json };

export const MIN_PROMPT_LENGTH = 10;
export const MAX_PROMPT_LENGTH = 50_000;
export const MIN_BUDGET_CENTS = 10;
export const MAX_BUDGET_CENTS = 10_000;
export const MIN_TIMEOUT_SECONDS = 30;
export const MAX_TIMEOUT_SECONDS = 3_600;
export const DEFAULT_TIMEOUT_SECONDS = 600;

/** Where a task may go from where it is. `provisioning` goes back to `queued` when there is no room for its machine. */
const NEXT: Record<Status, readonly Status[]> = {
  queued: ['provisioning', 'failed', 'cancelled'],
  provisioning: ['queued', 'running', 'failed', 'cancelled'],
  running: ['succeeded', 'failed', 'timed_out', 'cancelled'],
  succeeded: [],
  failed: [],
  timed_out: [],
  cancelled: [],
};

export const mayBecome = (from: Status, to: Status): boolean => NEXT[from].includes(to);
export const hasEnded = (status: Status): status is EndStatus => NEXT[status].length === 0;

/** How a task ends. */
export type Ending = { status: EndStatus; error?: TaskError; result?: Result };

const failed = (code: ErrorCode, message: string): Ending => ({ status: 'failed', error: { code, message } });

export const ENDINGS = {
  cancelled: (): Ending => ({ status: 'cancelled', error: { code: 'CANCELLED', message: 'The task was cancelled' } }),
  timedOut: (seconds: number): Ending => ({
    status: 'timed_out',
    error: { code: 'TIMEOUT', message: `The task did not finish within ${seconds} seconds` },
  }),
  outOfBudget: (): Ending => failed('BUDGET_EXHAUSTED', 'The budget does not cover the next step'),
  machineLost: (): Ending => failed('EXECUTION_ERROR', 'Task failed: sandbox crashed'),
  executionError: (message: string): Ending => failed('EXECUTION_ERROR', message),
  notProvisioned: (message: string): Ending => failed('PROVISIONING_FAILED', message),
} as const;

/** Milliseconds for which the task has had its machine and a worker, never more than its timeout. */
export function workedMs(task: ListedTask, until: Date): number {
  if (!task.runningAt) return 0;
  const worked = elapsedMs(task.runningAt, until) - task.idleMs;
  return Math.min(Math.max(worked, 0), task.timeoutSeconds * SECOND);
}

/** What the task costs if it ends now; what it did cost, once it has ended. */
export const costNow = (task: ListedTask, now: Date): Cost =>
  task.settled ?? costOf(task.budgetCents, task.inference, secondsBegun(workedMs(task, now)));

export type Limit = { kind: 'timeout' | 'budget'; atMs: number };

/** The limit that a running task meets first, in milliseconds of work: its timeout, or the end of its money. */
export function firstLimit(task: Pick<Task, 'timeoutSeconds' | 'budgetCents' | 'inference'>): Limit {
  const timeoutMs = task.timeoutSeconds * SECOND;
  const affordableMs = affordableSeconds(task.budgetCents, task.inference) * SECOND;
  return affordableMs < timeoutMs ? { kind: 'budget', atMs: affordableMs } : { kind: 'timeout', atMs: timeoutMs };
}

export const endingAt = (limit: Limit, task: Pick<Task, 'timeoutSeconds'>): Ending =>
  limit.kind === 'timeout' ? ENDINGS.timedOut(task.timeoutSeconds) : ENDINGS.outOfBudget();
