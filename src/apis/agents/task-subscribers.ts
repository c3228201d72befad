import { TASK_COMPLETED, type Tasks } from '../../domains/tasks/index.ts';
import type { Subscribers } from '../../domains/webhooks/index.ts';
import { parseId } from '../../kernel/ids.ts';
import { presentTask } from './present-task.ts';

/** Clause 1.7: whoever gave a webhook_url is sent the body of GET /v1/tasks/:id when the task has ended. */
export const taskSubscribers =
  (tasks: Pick<Tasks, 'find'>): Subscribers =>
  async (db, fact) => {
    const id = fact.type === TASK_COMPLETED ? parseId('task', fact.subject) : undefined;
    const task = id && (await tasks.find(db, id));
    if (!task?.webhookUrl) return [];
    return [
      { accountId: task.accountId, url: task.webhookUrl, type: TASK_COMPLETED, payload: presentTask(task, fact.at) },
    ];
  };
