import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MachineId } from '../../src/kernel/ids.ts';
import { newMachineId, prepareTestHost, RUNTIMES, testHost, type TestHost } from './host.ts';

const CREATE_STEPS = ['directory', 'disk', 'container', 'started', 'recorded'];
const DESTROY_STEPS = ['unrecorded', 'killed', 'forgotten', 'undisked', 'removed'];
const MOMENTS_MS = [5, 15, 30, 45, 60, 75, 90, 110, 130, 160];

beforeAll(async () => {
  await prepareTestHost();
}, 900_000);

describe.each(RUNTIMES)('after kill -9 (%s)', (runtime) => {
  let host: TestHost;

  beforeAll(async () => {
    host = await testHost(runtime);
  });
  afterAll(() => host.dispose());

  async function killedWhile(verb: 'create' | 'destroy', id: MachineId, end: string): Promise<void> {
    const { onStep: _, ...options } = host.options;
    const script = join(import.meta.dirname, 'crash-child.ts');
    const child = spawn(process.execPath, [script, JSON.stringify(options), verb, id, end], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const [, signal] = await once(child, 'exit');
    expect(signal).toBe('SIGKILL');
  }

  async function nothingIsLeft(): Promise<void> {
    for (const { id } of await host.driver.list()) await host.driver.destroy(id as MachineId);
    expect(await host.driver.list()).toEqual([]);
    await host.driver.close();
    expect(await host.tracesLeft()).toEqual([]);
  }

  test.each(CREATE_STEPS)('of the maker at "%s", what is there is found and nothing is left', async (step) => {
    const id = newMachineId();
    await killedWhile('create', id, step);
    expect(await host.driver.list()).toEqual([{ id, state: step === 'recorded' ? 'running' : 'remains' }]);
    await nothingIsLeft();
  });

  test('of the maker at any moment, nothing is left', async () => {
    for (const moment of MOMENTS_MS) {
      await killedWhile('create', newMachineId(), String(moment));
      await nothingIsLeft();
    }
  });

  test.each(DESTROY_STEPS)('of the remover at "%s", what is there is found and nothing is left', async (step) => {
    const id = await host.create();
    await killedWhile('destroy', id, step);
    expect(await host.driver.list()).toEqual(step === 'removed' ? [] : [{ id, state: 'remains' }]);
    await nothingIsLeft();
  });

  test('of the server, a machine goes on, and the next server finds it at work', async () => {
    const id = newMachineId();
    await killedWhile('create', id, 'done');
    expect(await host.driver.list()).toEqual([{ id, state: 'running' }]);
    expect((await host.sh(id, 'echo still here')).stdout.toString()).toBe('still here\n');
    expect((await host.driver.usage(id))?.processes).toBeGreaterThan(0);
    await nothingIsLeft();
  });

  test("of a machine's first process, the machine counts as gone", async () => {
    const id = await host.create();
    const pid = await host.firstProcess(id);
    const command = host.sh(id, 'echo up; sleep 10', { onOutput: () => void process.kill(pid, 'SIGKILL') });
    expect((await command).kind).toBe('lost');
    expect(await host.driver.list()).toEqual([{ id, state: 'remains' }]);
    await nothingIsLeft();
  });

  test('two who remove one machine at once do not disturb each other', async () => {
    const id = await host.create();
    await Promise.all([host.driver.destroy(id), host.driver.destroy(id), host.driver.destroy(id)]);
    await nothingIsLeft();
  });

  test('a machine that cannot be made leaves nothing', async () => {
    await expect(host.create({ image: 'no-such-image' })).rejects.toMatchObject({ code: 'not_found' });
    const aborted = host.driver.create(
      {
        id: newMachineId(),
        image: 'base',
        limits: { vcpus: 1, memoryMb: 128, diskGb: 0.1, pids: 32 },
        network: 'egress',
      },
      AbortSignal.timeout(40),
    );
    await expect(aborted).rejects.toThrow();
    await nothingIsLeft();
  });
});
