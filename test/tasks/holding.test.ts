import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  beat,
  letGo,
  noteMachine,
  noteRunning,
  putBack,
  takeUp,
  type Holding,
} from '../../src/domains/tasks/holding-store.ts';
import { beginStep, endModelStep, endToolStep, noteProgress } from '../../src/domains/tasks/step-store.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { usd } from '../../src/kernel/money.ts';
import type { Tx } from '../../src/platform/db.ts';
import { leasesEnd } from './successor.ts';
import { script, tasksWorld, type World } from './world.ts';

let world: World;

beforeAll(async () => {
  world = await tasksWorld({ takes: 'none' });
});
afterAll(() => world.close());

const MACHINE = `mch_${'0'.repeat(32)}` as MachineId;
const REPLY = {
  message: { role: 'assistant' as const, content: 'late' },
  finishReason: 'stop' as const,
  usage: { inputTokens: 1, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 1 },
  cost: usd(5n),
  text: 'late',
};

async function take(): Promise<Holding | undefined> {
  const owner = randomUUID();
  const taskId = await world.db.transact((tx) => takeUp(tx, owner, world.clock.now()));
  return taskId && { taskId, owner };
}

/** Everything that a worker writes for a task, in the order in which it would. */
const WRITES: [string, (tx: Tx, holding: Holding) => Promise<unknown>][] = [
  ['noting its machine', (tx, holding) => noteMachine(tx, holding, MACHINE)],
  ['putting it back', (tx, holding) => putBack(tx, holding, world.clock.now(), 0)],
  ['noting that it runs', (tx, holding) => noteRunning(tx, holding, world.clock.now())],
  ['beginning a step', (tx, holding) => beginStep(tx, holding, 9, world.clock.now())],
  ['ending a model step', (tx, holding) => endModelStep(tx, holding, 1, world.clock.now(), REPLY)],
  ['ending a tool step', (tx, holding) => endToolStep(tx, holding, 2, world.clock.now(), { output: 'late' })],
];

test('a task that is taken up is nobody else’s until its holding runs out; then it is the next one’s alone', async () => {
  const id = await world.order(await world.account(), script('true'));
  const first = await take();
  expect(first?.taskId).toBe(id);
  expect(await world.db.transact((tx) => noteMachine(tx, first!, MACHINE))).toBe(true);
  expect(await take()).toBeUndefined();
  expect(await beat(world.db, [first!], world.clock.now())).toEqual(new Set([first!.owner]));
  await leasesEnd(world);
  const second = await take();
  expect(second?.taskId).toBe(id);
  expect(await beat(world.db, [first!, second!], world.clock.now())).toEqual(new Set([second!.owner]));
  await world.tasks.cancel(world.op((await world.task(id)).accountId), id);
  expect(await beat(world.db, [second!], world.clock.now())).toEqual(new Set());
});

test.each(['provisioning', 'running'] as const)(
  'whoever has lost a %s task can write nothing for it',
  async (status) => {
    const id = await world.order(await world.account(), script('true'));
    const first = await take();
    await world.db.transact(async (tx) => {
      await noteMachine(tx, first!, MACHINE);
      if (status === 'provisioning') return;
      await noteRunning(tx, first!, world.clock.now());
      await beginStep(tx, first!, 1, world.clock.now());
      await beginStep(tx, first!, 2, world.clock.now(), { id: 'c', name: 'run_command', input: {} });
    });
    await leasesEnd(world);
    const second = await take();
    const before = [await world.task(id), await world.steps(id)];
    for (const [name, write] of WRITES)
      expect([name, await world.db.transact((tx) => write(tx, first!))]).toEqual([name, false]);
    await world.db.transact((tx) => noteProgress(tx, first!, 2, 'late'));
    await letGo(world.db, first!, world.clock.now(), 0);
    expect([await world.task(id), await world.steps(id)]).toEqual(before);
    expect(await take()).toBeUndefined();
    expect(await beat(world.db, [second!], world.clock.now())).toEqual(new Set([second!.owner]));
    await world.tasks.cancel(world.op((await world.task(id)).accountId), id);
  },
);
