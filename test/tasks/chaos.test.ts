import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AccountId } from '../../src/kernel/ids.ts';
import { toolCall } from '../fakes/provider.ts';
import { systemOp } from '../harness/op.ts';
import { doomed, kill, leasesEnd, NEVER, recovered, stop } from './successor.ts';
import { eventually, HAIKU, script, tasksWorld, type World } from './world.ts';

let world: World;
let account: AccountId;

beforeAll(async () => {
  world = await tasksWorld({ takes: 'none' });
  account = await world.account(100_000);
});
afterAll(() => world.close());

describe('a worker that is killed', { timeout: 120_000 }, () => {
  test('in the middle of a model call: the call is made again, and only its answer is paid', async () => {
    world.provider.replies.push({ kind: 'silence' });
    const before = await world.balance(account);
    const id = await world.order(account, HAIKU);
    const child = doomed(world, NEVER);
    await world.provider.asked(1);
    await kill(child);
    world.provider.replies.push(toolCall('finish', { text: 'at last' }, { input: 1_000, output: 10 }));
    await leasesEnd(world);
    const task = await recovered(world, id);
    expect(task).toMatchObject({ status: 'succeeded', result: { text: 'at last' }, recoveries: 1, inference: 1_050n });
    expect((await world.steps(id)).map(({ kind, state }) => `${kind} ${state}`)).toEqual([
      'model interrupted',
      'model finished',
      'tool finished',
    ]);
    expect(await world.balance(account)).toBe(before - 2);
  });

  test('in the middle of a command: its lease runs out, the model is told that nobody knows, and goes on in the same machine', async () => {
    world.provider.requests.length = 0;
    world.provider.replies.push(toolCall('run_command', { command: 'echo said; echo begun > mark; sleep 1000' }));
    const id = await world.order(account, HAIKU);
    const child = doomed(world, NEVER);
    await eventually(
      () => world.steps(id),
      (steps) => steps.at(-1)?.kind === 'tool',
    );
    const { machineId } = await world.task(id);
    await eventually(
      () => world.steps(id),
      (steps) => JSON.stringify(steps[1] ?? '').includes('said\\n'),
    );
    await kill(child);
    world.provider.replies.push(
      toolCall('run_command', { command: 'cat mark' }),
      toolCall('finish', { text: 'recovered' }),
    );
    await recovered(world, id);
    const told = JSON.stringify(world.provider.requests[1]?.body);
    expect(told).toContain('The server restarted while this ran');
    expect(told).toContain('said');
    expect((await world.steps(id))[3]).toMatchObject({ kind: 'tool', output: { stdout: 'begun\n' } });
    expect(await world.task(id)).toMatchObject({ machineId });
  });

  test('while the host loses the machine as well: the task fails, and says so', async () => {
    const id = await world.order(account, script('sleep 1000'));
    const child = doomed(world, NEVER);
    await eventually(
      () => world.steps(id),
      (steps) => steps.at(-1)?.kind === 'tool',
    );
    await kill(child);
    const { machineId } = await world.task(id);
    await world.machines.destroy(systemOp(), machineId!);
    await leasesEnd(world);
    expect(await recovered(world, id)).toMatchObject({
      status: 'failed',
      error: { code: 'EXECUTION_ERROR', message: 'Task failed: sandbox crashed' },
    });
  });

  test('in the middle of a block: the script fails and keeps what the block had printed', async () => {
    const id = await world.order(account, script('echo one', 'echo two; sleep 1000'));
    const child = doomed(world, NEVER);
    await eventually(
      () => world.steps(id),
      (steps) => JSON.stringify(steps[3] ?? '').includes('two\\n'),
    );
    await kill(child);
    await leasesEnd(world);
    expect(await recovered(world, id)).toMatchObject({
      status: 'failed',
      error: { code: 'EXECUTION_ERROR', message: expect.stringContaining('The server restarted while this ran') },
      result: { text: 'one\ntwo', json: null },
    });
  });

  test('by nobody, but was only slow, cannot disturb the one that came after it', async () => {
    world.provider.requests.length = 0;
    world.provider.replies.push({
      ...toolCall('run_command', { command: 'echo late' }, { input: 9_000, output: 900 }),
      delayMs: 2_000,
    });
    const id = await world.order(account, HAIKU);
    const slow = doomed(world, NEVER);
    await world.provider.asked(1);
    await stop(world, slow);
    world.provider.replies.push({
      ...toolCall('finish', { text: 'in time' }, { input: 1_000, output: 10 }),
      delayMs: 6_000,
    });
    await leasesEnd(world);
    const task = recovered(world, id);
    await world.provider.asked(2);
    // The first answer is there by now, and comes to a worker that does not have the task any more.
    slow.kill('SIGCONT');
    expect(await task).toMatchObject({ status: 'succeeded', result: { text: 'in time' }, inference: 1_050n });
    expect((await world.steps(id)).map(({ kind, state }) => `${kind} ${state}`)).toEqual([
      'model interrupted',
      'model finished',
      'tool finished',
    ]);
    const next = await world.order(account, script('echo next'));
    expect(await world.expectSettled(next)).toMatchObject({ status: 'succeeded' });
    await kill(slow);
    expect(world.provider.requests).toHaveLength(2);
  });

  test('and the task is cancelled before anybody takes it up: only the time until the death is paid', async () => {
    const id = await world.order(account, { ...script('sleep 1000'), timeoutSeconds: 3_600 });
    const child = doomed(world, NEVER);
    await eventually(
      () => world.steps(id),
      (steps) => steps.at(-1)?.kind === 'tool',
    );
    await kill(child);
    await leasesEnd(world);
    world.clock.advance(3_000_000);
    await world.tasks.cancel(world.op(account), id);
    const task = await recovered(world, id);
    expect(task.status).toBe('cancelled');
    expect(task.settled?.computeSeconds).toBeLessThan(60);
  });

  test('again and again while it has the same task: in the end the task is given up', async () => {
    const id = await world.order(account, script('echo never'));
    await world.db.query(`update tasks set recoveries = 100 where id = $1`, [id]);
    expect(await recovered(world, id)).toMatchObject({ status: 'failed', error: { code: 'EXECUTION_ERROR' } });
  });
});
