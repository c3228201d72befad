import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ToolStep } from '../../src/domains/tasks/index.ts';
import type { AccountId } from '../../src/kernel/ids.ts';
import { toolCall } from '../fakes/provider.ts';
import { eventually, HAIKU, script, tasksWorld, type World } from './world.ts';

let world: World;
let account: AccountId;

beforeAll(async () => {
  world = await tasksWorld();
});
beforeEach(async () => {
  account = await world.account();
  world.provider.replies.length = 0;
  world.provider.requests.length = 0;
});
afterAll(() => world.close());

const toolsOf = async (id: Parameters<World['steps']>[0]) =>
  (await world.steps(id)).filter((step): step is ToolStep => step.kind === 'tool');
const lastRequest = () => JSON.stringify(world.provider.requests.at(-1)?.body);

describe('a script task', () => {
  test('runs the blocks of its prompt in a machine and is paid for the machine alone', async () => {
    const id = await world.order(account, script('echo one; whoami', 'echo two'));
    const task = await world.expectSettled(id);
    expect(task).toMatchObject({
      status: 'succeeded',
      result: { text: 'one\nuser\ntwo', json: null },
      error: undefined,
    });
    expect(task.settled).toMatchObject({ inference: 0n, spentCents: 1 });
    expect(await world.balance(account)).toBe(999);
    expect((await world.steps(id)).map((step) => [step.number, step.kind, step.state])).toEqual([
      [1, 'model', 'finished'],
      [2, 'tool', 'finished'],
      [3, 'model', 'finished'],
      [4, 'tool', 'finished'],
      [5, 'model', 'finished'],
      [6, 'tool', 'finished'],
    ]);
  });

  test('shares files between its blocks and returns the result file as JSON', async () => {
    const id = await world.order(
      account,
      script('echo 41 > n', `echo "{\\"n\\": $(( $(cat n) + 1 ))}" > /tmp/result.json`),
    );
    expect(await world.expectSettled(id)).toMatchObject({ status: 'succeeded', result: { json: { n: 42 } } });
  });

  test('whose result file is nested without end succeeds without a JSON result', async () => {
    const nested = `head -c 100000 /dev/zero | tr '\\0' '['; head -c 100000 /dev/zero | tr '\\0' ']'`;
    const id = await world.order(account, script(`{ ${nested}; } > /tmp/result.json; echo made`));
    expect(await world.expectSettled(id)).toMatchObject({
      status: 'succeeded',
      recoveries: 0,
      result: { text: 'made', json: null },
    });
  });

  test('fails at its first failing block and keeps what was printed', async () => {
    const id = await world.order(account, script('echo before', 'echo half; echo why >&2; exit 7', 'echo never'));
    expect(await world.expectSettled(id)).toMatchObject({
      status: 'failed',
      error: { code: 'EXECUTION_ERROR', message: 'Shell block 2 of 3 ended with exit code 7' },
      result: { text: 'before\nhalf\nwhy', json: null },
    });
  });

  test('fails with a reason when its prompt has no block', async () => {
    const id = await world.order(account, { modelSlug: 'script', prompt: 'Please be so kind.' });
    expect(await world.expectSettled(id)).toMatchObject({ status: 'failed', error: { code: 'EXECUTION_ERROR' } });
  });

  test('survives output that is endless, binary and without an end of line', async () => {
    const id = await world.order(account, script('head -c 3000000 /dev/urandom; printf "\\0\\377END"'));
    const task = await world.expectSettled(id);
    expect(task.status).toBe('succeeded');
    expect(task.result?.text.endsWith('\uFFFD\uFFFDEND')).toBe(true);
    expect(task.result?.text).toContain('bytes left out');
  });
});

test('what a command has printed so far can be seen, and stays when the task is cut off', async () => {
  const id = await world.order(account, script('echo so far; sleep 1000'));
  const steps = await eventually(
    () => world.steps(id),
    (seen) => JSON.stringify(seen[1] ?? '').includes('so far\\n'),
  );
  expect(steps[1]).toMatchObject({ state: 'started', output: { exit_code: null, stdout: 'so far\n' } });
  await world.tasks.cancel(world.op(account), id);
  await world.expectSettled(id);
  expect((await world.steps(id))[1]).toMatchObject({ state: 'interrupted', output: { stdout: 'so far\n' } });
});

describe('a task of a model', () => {
  test('uses every tool, and its receipt is made of the provider’s figures', async () => {
    world.provider.replies.push(
      toolCall('write_file', { path: 'notes/a.txt', content: 'one two' }, { input: 10_000, output: 100 }),
      toolCall(
        'edit_file',
        { path: 'notes/a.txt', old_text: 'two', new_text: '$& three' },
        { input: 10_000, output: 100 },
      ),
      toolCall('list_files', { path: 'notes' }),
      toolCall('read_file', { path: '/home/user/notes/a.txt' }),
      toolCall('run_command', { command: 'wc -c < a.txt', cwd: 'notes' }),
      toolCall('finish', { text: 'written', json: { files: 1 } }, { input: 20_000, output: 1_000 }),
    );
    const id = await world.order(account, { ...HAIKU, budgetCents: 100 });
    const task = await world.expectSettled(id);
    expect(task).toMatchObject({ status: 'succeeded', result: { text: 'written', json: { files: 1 } } });
    expect((await toolsOf(id)).map(({ output }) => output)).toEqual([
      { written_bytes: 7 },
      { edited: 'notes/a.txt' },
      { entries: [{ name: 'a.txt', kind: 'file', size: 12 }] },
      { content: 'one $& three' },
      { exit_code: 0, stdout: '12\n', stderr: '' },
      { ended: true },
    ]);
    // 40 300 tokens in at 1 dollar a million, 1 230 out at 5: 46 450 micro-dollars, with the markup 5.1095 cents.
    expect(task.settled).toMatchObject({ inference: 46_450n, spentCents: 7 });
    expect(await world.balance(account)).toBe(993);
  });

  test('hears of its own mistakes and goes on', async () => {
    world.provider.replies.push(
      toolCall('fly', {}),
      toolCall('run_command', { command: 7 }),
      toolCall('read_file', { path: 'nowhere' }),
      toolCall('edit_file', { path: '/etc/hostname', old_text: 'not in there', new_text: '' }),
      toolCall('read_file', { path: '/bin/bash' }),
      toolCall('run_command', { command: 'sleep 60', timeout_seconds: 1 }),
      toolCall('finish', { text: 'enough' }),
    );
    const id = await world.order(account, HAIKU);
    expect(await world.expectSettled(id)).toMatchObject({ status: 'succeeded' });
    expect((await toolsOf(id)).map(({ output }) => output)).toMatchObject([
      { error: 'There is no tool fly' },
      { error: expect.stringMatching(/^command: /) },
      { error: 'No such file or directory' },
      { error: expect.stringMatching(/occurs 0 times|No such file/) },
      { error: expect.any(String) },
      { exit_code: null, note: 'killed after 1 seconds' },
      { ended: true },
    ]);
  });

  test('ends with its last word, also without a call of finish', async () => {
    world.provider.replies.push(
      { kind: 'message', text: 'cut o', stop: 'length' },
      { kind: 'message', text: 'All is well.' },
    );
    const id = await world.order(account, HAIKU);
    expect(await world.expectSettled(id)).toMatchObject({
      status: 'succeeded',
      result: { text: 'All is well.', json: null },
    });
    expect(lastRequest()).toContain('cut off at its length limit');
  });

  test('fails honestly when its provider refuses, and pays for what was used before', async () => {
    world.provider.replies.push(toolCall('run_command', { command: 'echo hi' }, { input: 9_000, output: 0 }), {
      kind: 'status',
      status: 400,
    });
    const id = await world.order(account, HAIKU);
    const task = await world.expectSettled(id);
    expect(task).toMatchObject({
      status: 'failed',
      error: { code: 'EXECUTION_ERROR', message: 'The model provider refused the request' },
    });
    expect(task.settled).toMatchObject({ inference: 9_000n, spentCents: 2 });
  });

  test('finds that its machine is gone and fails', async () => {
    world.provider.replies.push(toolCall('run_command', { command: 'sleep 30' }));
    const id = await world.order(account, HAIKU);
    const { machineId } = await world.until(id, ({ status }) => status === 'running');
    await eventually(
      () => world.steps(id),
      (steps) => steps.at(-1)?.kind === 'tool',
    );
    await world.host.driver.destroy(machineId!);
    expect(await world.expectSettled(id)).toMatchObject({
      status: 'failed',
      error: { code: 'EXECUTION_ERROR', message: 'Task failed: sandbox crashed' },
    });
  });
});

describe('the budget', () => {
  test('is enforced before the call that it does not cover, and what was said so far is kept', async () => {
    // 10 cents cover some 90 000 micro-dollars of inference; the first call takes 85 000 of them.
    world.provider.replies.push({
      kind: 'message',
      text: 'So far so good.',
      toolCalls: [{ name: 'run_command', input: { command: 'true' } }],
      usage: { input: 60_000, output: 5_000 },
    });
    const id = await world.order(account, { ...HAIKU, budgetCents: 10 });
    const task = await world.expectSettled(id);
    expect(task).toMatchObject({
      status: 'failed',
      error: { code: 'BUDGET_EXHAUSTED' },
      result: { text: 'So far so good.', json: null },
    });
    expect(world.provider.requests).toHaveLength(1);
    expect(task.settled?.spentCents).toBe(10);
    expect(await world.balance(account)).toBe(990);
  });

  test('shortens the answers that it cannot cover in full', async () => {
    world.provider.replies.push(toolCall('finish', { text: 'short' }));
    const id = await world.order(account, { ...HAIKU, budgetCents: 10 });
    expect(await world.expectSettled(id)).toMatchObject({ status: 'succeeded' });
    const asked = Number(world.provider.requests[0]?.body['max_tokens']);
    expect(asked).toBeGreaterThan(10_000);
    // At 5 dollars a million, 10 cents less a cent of machine time and the markup buy at most 16 363 tokens.
    expect(asked).toBeLessThan(16_364);
  });

  test('is never exceeded, whatever the provider says that it used', async () => {
    world.provider.replies.push(toolCall('finish', { text: 'dear' }, { input: 5_000_000, output: 0 }));
    const id = await world.order(account, { ...HAIKU, budgetCents: 20 });
    expect((await world.expectSettled(id)).settled?.spentCents).toBe(20);
    expect(await world.balance(account)).toBe(980);
  });
});

describe('time', () => {
  test('a task that outlives its timeout is timed out, with its command, and pays for that time and no more', async () => {
    const id = await world.order(account, { ...script('echo begun', 'sleep 1000'), timeoutSeconds: 30 });
    await eventually(
      () => world.steps(id),
      (steps) => steps.length === 4,
    );
    world.clock.advance(40_000);
    const task = await world.expectSettled(id);
    expect(task).toMatchObject({
      status: 'timed_out',
      error: { code: 'TIMEOUT' },
      result: { text: 'begun', json: null },
    });
    expect(task.settled?.computeSeconds).toBe(30);
  });

  test('a leap of the platform’s time does not take a task from the worker that has it', async () => {
    world.provider.replies.push(
      toolCall('run_command', { command: 'sleep 4; echo slept' }),
      toolCall('finish', { text: 'done' }),
    );
    const id = await world.order(account, { ...HAIKU, timeoutSeconds: 3_600 });
    await eventually(
      () => world.steps(id),
      (steps) => steps.length === 2,
    );
    world.clock.advance(30 * 60_000);
    const task = await world.expectSettled(id);
    expect(task).toMatchObject({ status: 'succeeded', recoveries: 0 });
    expect((await toolsOf(id))[0]).toMatchObject({ state: 'finished', output: { stdout: 'slept\n' } });
    expect(task.settled?.computeSeconds).toBeGreaterThanOrEqual(1_800);
  });

  test('machine time that the budget does not cover ends the task before its timeout', async () => {
    const id = await world.order(account, { ...script('sleep 1000'), budgetCents: 10, timeoutSeconds: 3_600 });
    await eventually(
      () => world.steps(id),
      (steps) => steps.length === 2,
    );
    world.clock.advance(50 * 60_000);
    expect(await world.expectSettled(id)).toMatchObject({
      status: 'failed',
      error: { code: 'BUDGET_EXHAUSTED' },
      settled: { spentCents: 10 },
    });
  });
});

describe('cancelling', () => {
  test('a running command ends at once, and what was used is paid', async () => {
    const id = await world.order(account, script('echo begun', 'sleep 1000'));
    await eventually(
      () => world.steps(id),
      (steps) => steps.length === 4,
    );
    expect(await world.tasks.cancel(world.op(account), id)).toMatchObject({ status: 'cancelled' });
    const task = await world.expectSettled(id);
    expect(task).toMatchObject({
      status: 'cancelled',
      error: { code: 'CANCELLED' },
      result: { text: 'begun', json: null },
    });
    expect((await world.steps(id)).at(-1)).toMatchObject({ state: 'interrupted' });
    expect(await world.balance(account)).toBe(1_000 - (task.settled?.spentCents ?? 0));
  });

  test('a model call under way ends at once', async () => {
    world.provider.replies.push({ kind: 'silence' });
    const id = await world.order(account, HAIKU);
    await world.provider.asked(1);
    await world.tasks.cancel(world.op(account), id);
    expect(await world.expectSettled(id)).toMatchObject({ status: 'cancelled', settled: { inference: 0n } });
  });

  test('what has ended cannot be cancelled', async () => {
    const id = await world.order(account, script('true'));
    await world.ended(id);
    await expect(world.tasks.cancel(world.op(account), id)).rejects.toMatchObject({ code: 'conflict' });
    expect(await world.task(id)).toMatchObject({ status: 'succeeded' });
  });
});

test('a worker that is stopped hands its task on, and the next one goes on where it was', async () => {
  const id = await world.order(account, script('echo one', 'sleep 2; echo two', 'echo three'));
  await eventually(
    () => world.steps(id),
    (steps) => steps.length === 4,
  );
  await world.tasks.stop();
  expect(await world.task(id)).toMatchObject({ status: 'running' });
  expect((await world.steps(id)).at(-1)).toMatchObject({ state: 'finished' });
  const next = await world.another();
  expect(await world.expectSettled(id)).toMatchObject({ status: 'succeeded', result: { text: 'one\ntwo\nthree' } });
  await next.stop();
});
