import { afterAll, beforeAll, expect, test } from 'vitest';
import { ErrorBody, presentError } from '../../src/apis/agents/errors.ts';
import { modelRoutes } from '../../src/apis/agents/models.ts';
import { taskSubscribers } from '../../src/apis/agents/task-subscribers.ts';
import { taskRoutes } from '../../src/apis/agents/tasks.ts';
import { serve } from '../../src/apis/serve.ts';
import { openModels } from '../../src/domains/models/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createHttpServer } from '../../src/platform/http.ts';
import { noRequestLimits } from '../../src/platform/limits.ts';
import { followFacts } from '../../src/platform/outbox.ts';
import type { AccountId } from '../../src/kernel/ids.ts';
import { request } from '../harness/agent.ts';
import { eventually, script, tasksWorld, type World } from './world.ts';

let world: World;
let account: AccountId;
let url: string;
const server = createHttpServer();

beforeAll(async () => {
  world = await tasksWorld();
  account = await world.account(500);
  const keys = { anthropic: { apiKey: 'k' }, openai: {}, openrouter: { apiKey: 'k' }, 'openai-compatible': {} };
  const models = await openModels({ providers: keys });
  const routes = [...modelRoutes({ models }), ...taskRoutes(world)];
  const api = { name: 'agents', title: 'Agents', routes, owns: () => true, presentError, errorSchema: ErrorBody };
  serve(server, [api], {
    db: world.db,
    clock: systemClock,
    limits: noRequestLimits,
    secret: Buffer.alloc(32, 1),
    authenticate: async () => world.op(account).actor,
    answered: () => {},
  });
  url = await server.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  await server.close();
  await world.close();
});

const call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  request(url, method, path, { key: 'any', body, headers });
const ended = (id: string) =>
  eventually(
    () => call('GET', `/v1/tasks/${id}`),
    ({ body }) => body.completed_at !== null,
  );
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const ORDER = { prompt: script('echo hi').prompt, budget_cents: 50, model_slug: 'script' };

test('a task over HTTP has the shapes of the sheet, from its creation to its receipt', async () => {
  const { status, body } = await call('POST', '/v1/tasks', { ...ORDER, webhook_url: 'https://example.com/hook' });
  expect(status).toBe(202);
  expect(body).toEqual({
    id: expect.any(String),
    status: 'queued',
    budget_cents: 50,
    created_at: expect.stringMatching(TIME),
    status_url: `/v1/tasks/${body.id}`,
  });
  const done = (await ended(body.id)).body;
  expect(done).toEqual({
    id: body.id,
    status: 'succeeded',
    budget_cents: 50,
    cost: {
      compute_seconds: 1,
      inference_microcents: 0,
      compute_microcents: 42,
      markup_bps: 1000,
      spent_cents: 1,
      refunded_cents: 49,
    },
    result: { text: 'hi', json: null },
    created_at: body.created_at,
    started_at: expect.stringMatching(TIME),
    completed_at: expect.stringMatching(TIME),
  });
  const listed = (await call('GET', '/v1/tasks?limit=1')).body;
  expect(listed).toEqual({
    tasks: [
      {
        id: body.id,
        status: 'succeeded',
        budget_cents: 50,
        spent_cents: 1,
        prompt_preview: ORDER.prompt,
        model_slug: 'script',
        created_at: body.created_at,
        completed_at: done.completed_at,
      },
    ],
  });
  expect(await messagesOf(body.id)).toEqual([
    { accountId: account, url: 'https://example.com/hook', type: 'task.completed', payload: done },
  ]);
});

/** What the webhooks domain is told to send about a task, once no older transaction hides it. */
async function messagesOf(id: string): Promise<unknown[]> {
  const messages: unknown[] = [];
  await eventually(
    () =>
      followFacts(world.db, 'test', async (tx, fact) => {
        if (fact.subject === id) messages.push(...(await taskSubscribers(world.tasks)(tx, fact)));
      }),
    () => messages.length > 0,
  );
  return messages;
}

test('a failed task tells its error and keeps what there was', async () => {
  const { body } = await call('POST', '/v1/tasks', { ...ORDER, prompt: script('echo half; exit 3').prompt });
  expect((await ended(body.id)).body).toMatchObject({
    status: 'failed',
    error: { code: 'EXECUTION_ERROR', message: 'The shell block ended with exit code 3' },
    result: { text: 'half', json: null },
    cost: { spent_cents: 1, refunded_cents: 49 },
  });
});

test('the steps tell page by page what a task did', async () => {
  const { body } = await call('POST', '/v1/tasks', ORDER);
  await ended(body.id);
  const first = (await call('GET', `/v1/tasks/${body.id}/steps?limit=2`)).body;
  expect(first).toMatchObject({
    steps: [
      {
        number: 1,
        kind: 'model',
        tool_calls: [{ tool: 'run_command', input: { command: 'echo hi' } }],
        cost_microcents: 0,
      },
      {
        number: 2,
        kind: 'tool',
        tool: 'run_command',
        output: { exit_code: 0, stdout: 'hi\n', stderr: '' },
        exit_code: 0,
        state: 'finished',
      },
    ],
    has_more: true,
    next_cursor: 2,
  });
  const second = (await call('GET', `/v1/tasks/${body.id}/steps?after=2`)).body;
  expect(second).toMatchObject({
    steps: [{ number: 3 }, { number: 4, tool: 'finish' }],
    has_more: false,
    next_cursor: null,
  });
});

test('a running task shows what it has cost so far and has given nothing back; a cancelled one has', async () => {
  const { body } = await call('POST', '/v1/tasks', { ...ORDER, prompt: script('sleep 1000').prompt });
  const running = await eventually(
    () => call('GET', `/v1/tasks/${body.id}`),
    (reply) => reply.body.status === 'running' && reply.body.cost.compute_seconds > 0,
  );
  expect(running.body.cost).toMatchObject({ spent_cents: 1, refunded_cents: 0 });
  expect(running.body).not.toHaveProperty('result');
  expect(running.body).not.toHaveProperty('error');
  expect(await call('POST', `/v1/tasks/${body.id}/cancel`)).toMatchObject({
    status: 200,
    body: { id: body.id, status: 'cancelled' },
  });
  expect((await call('GET', `/v1/tasks/${body.id}`)).body).toMatchObject({
    error: { code: 'CANCELLED' },
    cost: { refunded_cents: 49 },
  });
  expect(await call('POST', `/v1/tasks/${body.id}/cancel`)).toMatchObject({
    status: 409,
    body: { error: expect.any(String) },
  });
});

test('money that is not there is 402 in the words of the sheet, an unknown model 400, an unknown task 404', async () => {
  expect(await call('POST', '/v1/tasks', { ...ORDER, budget_cents: 10_000 })).toMatchObject({
    status: 402,
    body: { error: 'Insufficient balance to reserve task budget' },
  });
  expect(await call('POST', '/v1/tasks', { ...ORDER, model_slug: 'unknown' })).toMatchObject({ status: 400 });
  expect(await call('GET', '/v1/tasks/nonsense')).toMatchObject({ status: 404, body: { error: 'Task not found' } });
});

test('an idempotency_key answers 202, then 200 with the same task, and 409 for another', async () => {
  const named = { ...ORDER, idempotency_key: 'once' };
  const first = await call('POST', '/v1/tasks', named);
  const again = await call('POST', '/v1/tasks', named);
  expect([first.status, again.status]).toEqual([202, 200]);
  expect(again.body).toMatchObject({ id: first.body.id, created_at: first.body.created_at });
  expect(await call('POST', '/v1/tasks', { ...named, budget_cents: 51 })).toMatchObject({ status: 409 });
});

test('an Idempotency-Key header answers the first reply again', async () => {
  const key = { 'idempotency-key': 'header-once' };
  const [first, again] = [await call('POST', '/v1/tasks', ORDER, key), await call('POST', '/v1/tasks', ORDER, key)];
  expect([first.status, again.status]).toEqual([202, 202]);
  expect(again.body).toEqual(first.body);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
});

test('models are listed with exactly the fields of the sheet, by group and tier', async () => {
  const { data } = (await call('GET', '/v1/models')).body as { data: Record<string, unknown>[] };
  expect(data.map(({ slug }) => slug)).toEqual([
    'claude-haiku-4-5',
    'claude-sonnet-4-6',
    'claude-sonnet-5-5',
    'claude-opus-4-6',
    'claude-opus-5-5',
    'nemotron-3-super-120b:free',
    'gemini-2.5-flash',
    'script',
  ]);
  expect(data[0]).toEqual({
    slug: 'claude-haiku-4-5',
    display_name: 'Claude Haiku 4.5',
    group: 'anthropic',
    tier: 0,
    max_tokens: 64_000,
    context_length: 200_000,
    supports_thinking: true,
    input_price_per_m: 1,
    output_price_per_m: 5,
  });
});
