import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import type { AccountId, TaskId } from '../../src/kernel/ids.ts';
import { doomed, leasesEnd, NEVER, recovered } from './successor.ts';
import { eventually, script, tasksWorld, type Order, type World } from './world.ts';

const ORDER: Order = { ...script('echo one'), budgetCents: 50 };
/** Fewer would mean that the count is wrong. */
const LEAST_COMMITS = 10;

/** Commits that a worker makes for one task when nothing goes wrong. */
async function countCommits(world: World, account: AccountId): Promise<number> {
  const id = await world.order(account, ORDER);
  const child = doomed(world, NEVER);
  const output = text(child.stdout!);
  await world.expectSettled(id);
  child.kill('SIGTERM');
  return Number((await output).match(/(\d+) commits/)?.[1]);
}

async function dieAndRecover(
  world: World,
  account: AccountId,
  moment: 'before' | 'after',
  commit: number,
): Promise<void> {
  const before = await world.balance(account);
  const id = await world.order(account, ORDER);
  await deathOf(doomed(world, { commit, moment }), world, id);
  await leasesEnd(world);
  const task = await recovered(world, id);
  const interrupted = (await world.steps(id)).some((step) => step.kind === 'tool' && step.state === 'interrupted');
  // A block that may or may not have run ends the script; everything else is as if nothing had happened.
  expect(task).toMatchObject(
    interrupted
      ? { status: 'failed', error: { code: 'EXECUTION_ERROR' } }
      : { status: 'succeeded', result: { text: 'one' } },
  );
  expect(task.settled?.spentCents).toBe(1);
  expect(await world.balance(account)).toBe(before - 1);
}

/** The last commits are of whoever removes the machine first: where the worker had nothing to do, it dies idle. */
async function deathOf(child: ChildProcess, world: World, id: TaskId): Promise<void> {
  const exit = once(child, 'exit');
  await eventually(
    async () => child.signalCode !== null || child.exitCode !== null || (await world.isOver(id)),
    (over) => over,
  ).finally(() => child.kill('SIGKILL'));
  expect(await exit).toEqual([null, 'SIGKILL']);
}

describe('a worker that is killed at any commit of a task’s life', { timeout: 550_000 }, () => {
  test.concurrent.for(['before', 'after'] as const)(
    'right %s it: the task comes to an honest end, paid once, and no machine is left',
    async (moment, { onTestFinished }) => {
      const world = await tasksWorld({ takes: 'none' });
      onTestFinished(() => world.close());
      const account = await world.account(10_000);
      const commits = await countCommits(world, account);
      expect(commits).toBeGreaterThan(LEAST_COMMITS);
      for (let commit = 1; commit <= commits; commit++)
        await dieAndRecover(world, account, moment, commit).catch((cause: Error) => {
          throw new Error(`killed ${moment} commit ${commit} of ${commits}: ${cause.message}`, { cause });
        });
    },
  );
});
