import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AccountId } from '../../src/kernel/ids.ts';
import { systemOp } from '../harness/op.ts';
import { eventually, script, tasksWorld, type World } from './world.ts';

let world: World;
let account: AccountId;

beforeAll(async () => {
  world = await tasksWorld();
  account = await world.account(10_000);
});
afterAll(() => world.close());

test('cancel against finish: exactly one wins, and the money follows the winner', async () => {
  for (let round = 0; round < 12; round++) {
    const before = await world.balance(account);
    const id = await world.order(account, script('true'));
    await eventually(
      () => world.steps(id),
      (steps) => steps.length >= 1 + (round % 4),
    );
    const attempts = await Promise.allSettled([1, 2, 3].map(() => world.tasks.cancel(world.op(account), id)));
    const task = await world.expectSettled(id);
    const won = attempts.filter(({ status }) => status === 'fulfilled').length;
    expect(won).toBe(task.status === 'cancelled' ? 1 : 0);
    for (const attempt of attempts)
      if (attempt.status === 'rejected') expect(attempt.reason).toMatchObject({ code: 'conflict' });
    expect(await world.balance(account)).toBe(before - (task.settled?.spentCents ?? Number.NaN));
  }
});

test('three workers that reach for twenty tasks at the same moment: each task is run once', async () => {
  const idle = await tasksWorld({ takes: 'none' });
  const workers = [idle, await idle.another('none'), await idle.another('none')];
  const owner = await idle.account();
  const orders = Array.from({ length: 20 }, (_, index) => idle.order(owner, script(`echo task ${index}`)));
  const ids = await Promise.all(orders);
  const reach = workers.flatMap(({ tasks }) => tasks.sweeps.map((sweep) => sweep.runDue(systemOp(idle.clock.now()))));
  expect((await Promise.all(reach)).reduce((sum, taken) => sum + taken, 0)).toBe(20);
  const tasks = await Promise.all(ids.map((id) => idle.ended(id)));
  expect(tasks.map((task) => task.result?.text)).toEqual(ids.map((_, index) => `task ${index}`));
  for (const task of tasks) expect(task).toMatchObject({ status: 'succeeded', recoveries: 0, machineTries: 1 });
  for (const id of ids) expect((await idle.steps(id)).map(({ number }) => number)).toEqual([1, 2, 3, 4]);
  for (const id of ids) await idle.expectSettled(id);
  await Promise.all(workers.slice(1).map((plant) => plant.stop()));
  await idle.close();
});

test('a task that is cancelled in one process ends within a second in the one that runs it', async () => {
  const elsewhere = await world.another('none');
  const id = await world.order(account, script('sleep 1000'));
  await eventually(
    () => world.steps(id),
    (steps) => steps.at(-1)?.kind === 'tool',
  );
  await elsewhere.tasks.cancel(world.op(account), id);
  await world.expectSettled(id);
  expect(await world.task(id)).toMatchObject({ status: 'cancelled' });
  await elsewhere.stop();
});

test('the same idempotency key twenty times at once makes one task and one hold', async () => {
  const before = await world.balance(account);
  const order = { ...script('echo once'), budgetCents: 100, timeoutSeconds: 60, idempotencyKey: 'mine' };
  const made = await Promise.all(Array.from({ length: 20 }, () => world.tasks.create(world.op(account), order)));
  expect(new Set(made.map(({ task }) => task.id)).size).toBe(1);
  expect(made.filter(({ isNew }) => isNew)).toHaveLength(1);
  const [{ task }] = made as [(typeof made)[0]];
  await world.expectSettled(task.id);
  expect(await world.balance(account)).toBe(before - 1);
});
