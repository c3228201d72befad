import { AppError } from '../../../kernel/errors.ts';
import { parseId } from '../../../kernel/ids.ts';
import type { Db } from '../../../platform/db.ts';
import type { NodeOp } from '../world.ts';
import { findTask } from './task-store.ts';
import { isParty, type GridTask } from './task.ts';

/** A task as one of its two parties sees it. */
export async function partyTask(db: Db, op: NodeOp, id: string): Promise<GridTask> {
  const taskId = parseId('gridTask', id);
  const task = taskId && (await findTask(db, taskId));
  if (!task) throw new AppError('not_found', 'Task not found');
  if (!isParty(task, op.node.id)) throw new AppError('forbidden', 'Not a party to this task');
  return task;
}
