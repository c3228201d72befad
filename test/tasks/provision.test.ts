import { expect, onTestFinished, test } from 'vitest';
import type { MachineDriver } from '../../src/domains/machines/index.ts';
import { eventually, script, tasksWorld, type World } from './world.ts';

async function worldOn(through: (driver: MachineDriver) => MachineDriver): Promise<World> {
  const world = await tasksWorld({ through });
  onTestFinished(() => world.close());
  return world;
}

test('on a full host a task waits its turn, and loses nothing by it', async () => {
  // Room for one machine of 2 GiB, by the rule that all limits together may be three times the memory.
  const world = await worldOn((driver) => ({
    ...driver,
    room: async () => ({ memoryMb: 700, diskGb: 100, freeDiskGb: 100, diskSizeGb: 100 }),
  }));
  const account = await world.account();
  const first = await world.order(account, script('sleep 1000'));
  await eventually(
    () => world.steps(first),
    (steps) => steps.length === 2,
  );
  const second = await world.order(account, script('echo my turn'));
  await world.until(second, ({ status, machineTries }) => status === 'queued' && machineTries === 1);
  expect(await world.task(second)).toMatchObject({ machineFailures: 0, machineId: undefined });
  await world.tasks.cancel(world.op(account), first);
  expect(await world.expectSettled(second)).toMatchObject({ status: 'succeeded', result: { text: 'my turn' } });
});

test('a host that makes no machine fails the task after some tries, and the budget is given back whole', async () => {
  const world = await worldOn((driver) => ({ ...driver, create: () => Promise.reject(new Error('no such device')) }));
  const account = await world.account();
  const id = await world.order(account, script('echo never'));
  await eventually(
    async () => {
      world.clock.advance(1_000);
      return world.task(id);
    },
    ({ status }) => status === 'failed',
  );
  expect(await world.expectSettled(id)).toMatchObject({
    error: { code: 'PROVISIONING_FAILED', message: 'Failed to create sandbox' },
    machineTries: 3,
    settled: { spentCents: 0, computeSeconds: 0 },
  });
  expect(await world.balance(account)).toBe(1_000);
  expect((await world.statement(account)).map(({ type, amount }) => [type, amount])).toEqual([
    ['task_refund', 500_000n],
    ['task_reserve', -500_000n],
    ['deposit', 10_000_000n],
  ]);
});

test('a task for which no machine becomes free in an hour fails, and the budget is given back whole', async () => {
  const world = await worldOn((driver) => ({
    ...driver,
    room: async () => ({ memoryMb: 64, diskGb: 100, freeDiskGb: 100, diskSizeGb: 100 }),
  }));
  const account = await world.account();
  const id = await world.order(account, script('echo never'));
  await world.until(id, ({ status, machineTries }) => status === 'queued' && machineTries === 1);
  world.clock.advance(61 * 60_000);
  expect(await world.expectSettled(id)).toMatchObject({ status: 'failed', error: { code: 'PROVISIONING_FAILED' } });
  expect(await world.balance(account)).toBe(1_000);
});

test('a task that is cancelled while its machine is being made leaves no machine', async () => {
  const making = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const world = await worldOn((driver) => ({
    ...driver,
    create: async (spec, signal) => {
      making.resolve();
      await goOn.promise;
      await driver.create(spec, signal);
    },
  }));
  const account = await world.account();
  const id = await world.order(account, script('echo never'));
  await making.promise;
  expect(await world.tasks.cancel(world.op(account), id)).toMatchObject({ status: 'cancelled' });
  goOn.resolve();
  await world.expectSettled(id);
  expect(await world.balance(account)).toBe(1_000);
  await eventually(
    () => world.host.driver.list(),
    (found) => found.length === 0,
  );
});
