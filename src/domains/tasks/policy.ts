import { AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import type { AccountOp } from '../../kernel/op.ts';
import type { Db } from '../../platform/db.ts';
import { findTask } from './store.ts';
import type { Task } from './task.ts';

/** A task is its account's alone. What is not the caller's does not exist for the caller. */
export async function ownTask(db: Db, op: AccountOp, id: string): Promise<Task> {
  const taskId = parseId('task', id);
  const task = taskId && (await findTask(db, taskId));
  if (!task || task.accountId !== op.actor.accountId) throw new AppError('not_found', 'Task not found');
  return task;
}
