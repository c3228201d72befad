import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AccountId } from '../../src/kernel/ids.ts';
import { script, tasksWorld, type World } from './world.ts';

let world: World;
let account: AccountId;

beforeAll(async () => {
  world = await tasksWorld({ takes: 'none' });
});
beforeEach(async () => {
  account = await world.account(100);
});
afterAll(() => world.close());

const ORDER = { prompt: script('true').prompt, modelSlug: 'script', budgetCents: 60, timeoutSeconds: 60 };
const facts = () =>
  world.db.query<{ type: string }>(`select type from facts where account_id = $1 order by seq`, [account]);

describe('taking on a task', () => {
  test('puts the whole budget aside at once, and a cancelled one that nobody took up gives it all back', async () => {
    const { task, isNew } = await world.tasks.create(world.op(account), ORDER);
    expect(isNew).toBe(true);
    expect(task).toMatchObject({ status: 'queued', budgetCents: 60, modelSlug: 'script', startedAt: undefined });
    expect(await world.balance(account)).toBe(40);
    await world.tasks.cancel(world.op(account), task.id);
    expect(await world.expectSettled(task.id)).toMatchObject({ settled: { spentCents: 0, computeSeconds: 0 } });
    expect(await world.balance(account)).toBe(100);
    expect((await facts()).map(({ type }) => type)).toEqual(['task.created', 'task.completed']);
  });

  test('counts the prompt in characters, however many bytes or units they take', async () => {
    const written = (characters: number) =>
      world.tasks.create(world.op(account), { ...ORDER, prompt: '😀'.repeat(characters) });
    expect((await written(50_000)).isNew).toBe(true);
    for (const characters of [9, 50_001])
      await expect(written(characters)).rejects.toMatchObject({
        code: 'invalid',
        message: 'prompt must be from 10 to 50000 characters',
      });
  });

  test('for which the money is not there changes nothing', async () => {
    await world.tasks.create(world.op(account), ORDER);
    await expect(world.tasks.create(world.op(account), ORDER)).rejects.toMatchObject({
      code: 'unaffordable',
      message: 'Insufficient balance to reserve task budget',
    });
    expect(await world.tasks.list(world.op(account), 100)).toHaveLength(1);
    expect(await world.balance(account)).toBe(40);
    expect(await facts()).toHaveLength(1);
  });

  test('takes the preferred model where none is named, and refuses one that is not there', async () => {
    const { task } = await world.tasks.create(world.op(account), { ...ORDER, modelSlug: undefined, budgetCents: 10 });
    expect(task.modelSlug).toBe('claude-sonnet-4-6');
    await expect(world.tasks.create(world.op(account), { ...ORDER, modelSlug: 'gpt-5.4' })).rejects.toMatchObject({
      code: 'invalid',
    });
  });

  test.each([
    ['prompt', { prompt: 'too short' }],
    ['prompt', { prompt: 'x'.repeat(50_001) }],
    ['budget_cents', { budgetCents: 9 }],
    ['budget_cents', { budgetCents: 10_001 }],
    ['timeout_seconds', { timeoutSeconds: 29 }],
    ['timeout_seconds', { timeoutSeconds: 3_601 }],
    ['webhook_url', { webhookUrl: 'http://example.com' }],
  ])('refuses a %s out of bounds: %j', async (field, wrong) => {
    await expect(world.tasks.create(world.op(account), { ...ORDER, ...wrong })).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(new RegExp(`^${field} must`)),
    });
  });
});

describe('an idempotency key', () => {
  test('names one task: the same content answers it again, another content is a conflict', async () => {
    const named = { ...ORDER, budgetCents: 20, idempotencyKey: 'report' };
    const first = await world.tasks.create(world.op(account), named);
    const again = await world.tasks.create(world.op(account), named);
    expect([again.task.id, again.isNew]).toEqual([first.task.id, false]);
    await expect(world.tasks.create(world.op(account), { ...named, budgetCents: 21 })).rejects.toMatchObject({
      code: 'conflict',
    });
    expect(await world.balance(account)).toBe(80);
  });

  test('of one account means nothing to another', async () => {
    const other = await world.account(100);
    const named = { ...ORDER, idempotencyKey: 'mine' };
    const first = await world.tasks.create(world.op(account), named);
    const second = await world.tasks.create(world.op(other), { ...named, budgetCents: 30 });
    expect(second).toMatchObject({ isNew: true });
    expect(second.task.id).not.toBe(first.task.id);
  });

  test('still answers when the money is gone', async () => {
    const named = { ...ORDER, budgetCents: 100, idempotencyKey: 'all of it' };
    const first = await world.tasks.create(world.op(account), named);
    expect(await world.balance(account)).toBe(0);
    expect((await world.tasks.create(world.op(account), named)).task.id).toBe(first.task.id);
  });
});

test('a request that is carried out again under its seed makes the same task and takes the money once', async () => {
  const op = { ...world.op(account), seed: Buffer.alloc(32, 5) };
  const first = await world.tasks.create(op, ORDER);
  const again = await world.tasks.create(op, ORDER);
  expect([again.task.id, again.isNew]).toEqual([first.task.id, true]);
  expect(await world.balance(account)).toBe(40);
});

describe('whose a task is', () => {
  test('nobody else finds it, by any verb, nor anything that is no task', async () => {
    const { task } = await world.tasks.create(world.op(account), ORDER);
    const stranger = world.op(await world.account());
    const missing = { code: 'not_found', message: 'Task not found' };
    for (const [op, id] of [
      [stranger, task.id],
      [world.op(account), '01890000-0000-7000-8000-000000000000'],
      [world.op(account), "1' or '1'='1"],
    ] as const) {
      await expect(world.tasks.get(op, id)).rejects.toMatchObject(missing);
      await expect(world.tasks.cancel(op, id)).rejects.toMatchObject(missing);
      await expect(world.tasks.steps(op, id, { limit: 10, after: 0 })).rejects.toMatchObject(missing);
    }
    expect(await world.tasks.list(stranger, 100)).toEqual([]);
    expect(await world.task(task.id)).toMatchObject({ status: 'queued' });
  });

  test('its account lists its newest tasks first', async () => {
    const made = [];
    for (let n = 0; n < 3; n++) {
      made.push((await world.tasks.create(world.op(account), { ...ORDER, budgetCents: 10 })).task.id);
      world.clock.advance(1_000);
    }
    const listed = await world.tasks.list(world.op(account), 2);
    expect(listed.map(({ id }) => id)).toEqual([made[2], made[1]]);
    expect(listed[0]?.prompt).toBe(ORDER.prompt);
  });
});
