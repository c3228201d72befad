import type { Op } from '../../kernel/op.ts';
import { recordFact } from '../../platform/outbox.ts';
import type { Tx } from '../../platform/db.ts';
import type { Task } from './task.ts';

/** Told when a task has ended; whoever gave the task hears of it by webhook. */
export const TASK_COMPLETED = 'task.completed';

type TaskFact = 'task.created' | 'task.provisioning' | 'task.requeued' | 'task.running' | typeof TASK_COMPLETED;

/** Every change of a task's status is a fact, in the transaction of the change. */
export const tell = (
  tx: Tx,
  op: Op,
  type: TaskFact,
  task: Pick<Task, 'id' | 'accountId'>,
  data: Record<string, unknown> = {},
): Promise<void> => recordFact(tx, op, { type, subject: task.id, accountId: task.accountId, data });
