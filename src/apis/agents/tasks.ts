import { z } from 'zod';
import { DEFAULT_TIMEOUT_SECONDS, type Tasks } from '../../domains/tasks/index.ts';
import { accepted, ok, route, type Route } from '../contract.ts';
import { presentListed, presentStep, presentTaken, presentTask } from './present-task.ts';
import { NewTask, StepShown, TaskListed, TaskShown, TaskTaken } from './task-wire.ts';
import { IdParams, limitQuery, READ, Uuid, WRITE } from './wire.ts';

const TAG = 'Tasks';
const ListQuery = limitQuery({ max: 100, fallback: 20 });
const StepsQuery = ListQuery.extend({
  after: z
    .string()
    .regex(/^\d{1,9}$/, { error: 'must be the number of a step' })
    .transform(Number)
    .default(0)
    .meta({ description: 'Steps after this number.' }),
});
const StepsPage = z.object({
  steps: z.array(StepShown),
  has_more: z.boolean(),
  next_cursor: z.int().nullable().meta({ description: 'What to pass as `after` for the next page.' }),
});

export const taskRoutes = ({ tasks }: { tasks: Tasks }): Route[] => [
  route({
    method: 'POST',
    path: '/v1/tasks',
    tag: TAG,
    summary: 'Create a task',
    description:
      'Puts the whole budget aside at once; what is not spent is given back when the task ends. The model `script` needs no provider: it runs the fenced shell blocks of the prompt one after the other and returns what they print, and as JSON what they leave in /tmp/result.json, if the prompt names that file.',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    body: NewTask,
    fails: ['unaffordable'],
    replies: {
      202: { description: 'The task is queued', schema: TaskTaken },
      200: { description: 'The earlier task of the same idempotency_key', schema: TaskTaken },
    },
    handle: async (op, { body }) => {
      const { task, isNew } = await tasks.create(op, {
        prompt: body.prompt,
        budgetCents: body.budget_cents,
        timeoutSeconds: body.timeout_seconds ?? DEFAULT_TIMEOUT_SECONDS,
        modelSlug: body.model_slug,
        webhookUrl: body.webhook_url,
        idempotencyKey: body.idempotency_key,
      });
      return (isNew ? accepted : ok)(presentTaken(task));
    },
  }),
  route({
    method: 'GET',
    path: '/v1/tasks',
    tag: TAG,
    summary: 'List tasks, newest first',
    access: 'account',
    scopes: READ,
    query: ListQuery,
    replies: { 200: { description: 'The tasks', schema: z.object({ tasks: z.array(TaskListed) }) } },
    handle: async (op, { query }) =>
      ok({ tasks: (await tasks.list(op, query.limit)).map((task) => presentListed(task, op.now)) }),
  }),
  route({
    method: 'GET',
    path: '/v1/tasks/:id',
    tag: TAG,
    summary: 'Show a task, its cost and its result',
    access: 'account',
    scopes: READ,
    params: IdParams,
    replies: { 200: { description: 'The task', schema: TaskShown } },
    handle: async (op, { params }) => ok(presentTask(await tasks.get(op, params.id), op.now)),
  }),
  route({
    method: 'GET',
    path: '/v1/tasks/:id/steps',
    tag: TAG,
    summary: 'Show what a task did',
    access: 'account',
    scopes: READ,
    params: IdParams,
    query: StepsQuery,
    replies: { 200: { description: 'The steps, in order', schema: StepsPage } },
    handle: async (op, { params, query }) => {
      const page = await tasks.steps(op, params.id, query);
      return ok({
        steps: page.rows.map(presentStep),
        has_more: page.next !== undefined,
        next_cursor: page.next ?? null,
      });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tasks/:id/cancel',
    tag: TAG,
    summary: 'Cancel a task',
    description: 'A queued task gets its whole budget back, a running one what it has not used.',
    access: 'account',
    scopes: WRITE,
    params: IdParams,
    fails: ['conflict'],
    replies: {
      200: { description: 'The task is cancelled', schema: z.object({ id: Uuid, status: z.literal('cancelled') }) },
    },
    handle: async (op, { params }) => {
      const { id, status } = await tasks.cancel(op, params.id);
      return ok({ id, status });
    },
  }),
];
