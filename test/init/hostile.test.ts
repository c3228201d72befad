import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InitError } from '../../src/domains/machines/init/index.ts';
import { BUILDS, collect, startMachine, type TestMachine } from './machine.ts';

/** More than a run keeps of its output and its pipe holds together. */
const PLENTY = 3_000_000;
const user = 'user';

describe.each(BUILDS)('what runs in a machine does not hold its init up ($build)', ({ program }) => {
  let machine: TestMachine;

  beforeAll(async () => {
    machine = await startMachine(await program());
  });
  afterAll(async () => {
    expect(await machine.complaints()).toBe('');
    await machine.dispose();
  });

  const text = async (command: string) => (await machine.sh(command, { user: 'root' })).stdout.trim();

  test('a run ends, though what it left behind takes the end of its output away', async () => {
    // Its pipe is full when it ends, since nobody reads it yet.
    const run = await machine.start(
      `head -c ${PLENTY} /dev/zero &
       sleep 0.5
       (exec 3< /dev/stdout; sleep 0.5; exec cat <&3 > /dev/null) &
       sleep 641 &`,
    );
    await sleep(2_000);
    const outcome = await Promise.race([collect(run), sleep(8_000, undefined)]);
    expect(outcome).toMatchObject({ exitCode: 0 });
    await text('pkill -f "^sleep 641"');
  });

  test('a file that takes nothing any more ends its writing', async () => {
    const run = await machine.start('exec sleep 642');
    const late = async function* () {
      await machine.init.signal({ pid: run.pid }, 9, 'tree');
      await collect(run);
      yield Buffer.from('x');
    };
    // To what was the memory of a process that has ended nothing can be written, which is no error.
    const written = machine.init.write(`/proc/${run.pid}/mem`, late(), { user });
    await expect(Promise.race([written, sleep(5_000)])).rejects.toBeInstanceOf(InitError);
    expect(await text('pgrep -c freehold-call; true')).toBe('0');
  });
});
