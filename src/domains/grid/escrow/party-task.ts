import { AppError } from '../../../kernel/errors.ts';
import { parseId } from '../../../kernel/ids.ts';
import type { Db } from '../../../platform/db.ts';
import type { NodeOp } from '../world.ts';
import { findTask } from './task-store.ts';
import { isParty, type GridTask } from './task.ts';

/** A task as one of its two parties sees it; for all others it is not there. */
export async function partyTask(db: Db, op: NodeOp, id: string): Promise<GridTask> {
  const taskId = parseId('gridTask', id);
  const task = taskId && (await findTask(db, taskId));
  if (!task || !isParty(task, op.node.id)) throw new AppError('not_found', 'Task not found');
  return task;
}
