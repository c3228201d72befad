import { AppError, isAppError } from '../../kernel/errors.ts';
import { cents } from '../../kernel/money.ts';
import { newId, type AccountOp } from '../../kernel/op.ts';
import { sha256 } from '../../platform/crypto.ts';
import type { Database, Tx } from '../../platform/db.ts';
import { REVENUE, wallet, type Ledger } from '../ledger/index.ts';
import type { Models } from '../models/index.ts';
import { tell } from './facts.ts';
import { findEarlier, findTask, insertTask, type NewTask } from './store.ts';
import {
  MAX_BUDGET_CENTS,
  MAX_PROMPT_LENGTH,
  MAX_TIMEOUT_SECONDS,
  MIN_BUDGET_CENTS,
  MIN_PROMPT_LENGTH,
  MIN_TIMEOUT_SECONDS,
  type Task,
} from './task.ts';

export type TaskRequest = {
  prompt: string;
  budgetCents: number;
  timeoutSeconds: number;
  /** Left out: the platform's choice. */
  modelSlug?: string | undefined;
  /** Told when the task has ended. */
  webhookUrl?: string | undefined;
  /** The caller's own name for the task: the same name with the same content is the same task. */
  idempotencyKey?: string | undefined;
};

export type CreateDeps = {
  db: Database;
  ledger: Ledger;
  models: Models;
  /** What is wrong with a URL to be told at; undefined where nothing is. */
  webhookUrlProblem: (url: string) => string | undefined;
  /** Has a worker look at the queue once the transaction is committed. */
  callWorker: (tx: Tx) => Promise<void>;
};

/**
 * Takes on a task and puts its whole budget aside. Answers the earlier task where the caller's idempotency key names
 * one. Throws `invalid`, `unaffordable`, or `conflict` where the key names a task with another content; then nothing
 * is changed.
 */
export async function create(
  deps: CreateDeps,
  op: AccountOp,
  request: TaskRequest,
): Promise<{ task: Task; isNew: boolean }> {
  check(deps, request);
  const model = request.modelSlug === undefined ? deps.models.preferred() : deps.models.find(request.modelSlug);
  if (!model) throw new AppError('invalid', `model_slug is not available: ${request.modelSlug}`);
  const wanted: NewTask = {
    ...request,
    id: newId(op, 'task'),
    accountId: op.actor.accountId,
    modelSlug: model.slug,
    webhookUrl: request.webhookUrl,
    idempotencyKey: request.idempotencyKey,
    holdId: newId(op, 'transfer', 'task hold'),
    createdAt: op.now,
    fingerprint: fingerprintOf(request),
  };
  return deps.db.transact(async (tx) => {
    if (!(await insertTask(tx, wanted))) {
      const task = await earlier(tx, wanted);
      // Our own id: this very request, carried out once more.
      return { task, isNew: task.id === wanted.id };
    }
    await reserve(deps.ledger, tx, op, wanted);
    await tell(tx, op, 'task.created', wanted, { modelSlug: wanted.modelSlug, budgetCents: wanted.budgetCents });
    await deps.callWorker(tx);
    const task = await findTask(tx, wanted.id);
    if (!task) throw new Error('a task that was just made is not there');
    return { task, isNew: true };
  });
}

function check({ webhookUrlProblem }: CreateDeps, request: TaskRequest): void {
  // A character is a code point, as in the schemas: many of them are two units of a JavaScript string.
  within('prompt', Array.from(request.prompt).length, MIN_PROMPT_LENGTH, MAX_PROMPT_LENGTH, ' characters');
  within('budget_cents', request.budgetCents, MIN_BUDGET_CENTS, MAX_BUDGET_CENTS);
  within('timeout_seconds', request.timeoutSeconds, MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS);
  const problem = request.webhookUrl === undefined ? undefined : webhookUrlProblem(request.webhookUrl);
  if (problem !== undefined) throw new AppError('invalid', `webhook_url ${problem}`);
}

function within(name: string, value: number, min: number, max: number, unit = ''): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new AppError('invalid', `${name} must be from ${min} to ${max}${unit}`);
}

/** What was asked for, as far as it makes a task another task. A model left out is not the model that it means today. */
const fingerprintOf = ({ prompt, budgetCents, timeoutSeconds, modelSlug, webhookUrl }: TaskRequest): Buffer =>
  sha256(JSON.stringify([prompt, budgetCents, timeoutSeconds, modelSlug ?? null, webhookUrl ?? null]));

async function earlier(tx: Tx, wanted: NewTask): Promise<Task> {
  const found = await findEarlier(tx, wanted);
  if (!found?.fingerprint.equals(wanted.fingerprint))
    throw new AppError('conflict', 'This idempotency_key was used for a different task');
  return found.task;
}

async function reserve(ledger: Ledger, tx: Tx, op: AccountOp, task: NewTask): Promise<void> {
  try {
    await ledger.hold(tx, op, {
      id: task.holdId,
      from: wallet(task.accountId, 'USD'),
      to: REVENUE,
      amount: cents(task.budgetCents),
      type: 'task_reserve',
      releaseType: 'task_refund',
      description: `Task ${task.id}`,
    });
  } catch (cause) {
    if (isAppError(cause, 'unaffordable'))
      throw new AppError('unaffordable', 'Insufficient balance to reserve task budget', { cause });
    throw cause;
  }
}
