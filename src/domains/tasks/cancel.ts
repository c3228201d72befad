import { AppError } from '../../kernel/errors.ts';
import type { AccountOp } from '../../kernel/op.ts';
import type { Database } from '../../platform/db.ts';
import { finish, type FinishDeps } from './finish.ts';
import { ownTask } from './policy.ts';
import { ENDINGS, type Task } from './task.ts';

/** Ends a task that has not ended; what it has used is paid. Throws `not_found`, or `conflict` where it has ended. */
export async function cancel(deps: FinishDeps & { db: Database }, op: AccountOp, id: string): Promise<Task> {
  const { id: taskId } = await ownTask(deps.db, op, id);
  const ended = await deps.db.transact((tx) => finish(deps, tx, op, taskId, ENDINGS.cancelled()));
  if (!ended) throw new AppError('conflict', 'The task has already ended');
  return ended;
}
