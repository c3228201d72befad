import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InitError } from '../../src/domains/machines/init/index.ts';
import { CALL } from '../../src/domains/machines/init/protocol.ts';
import { BUILDS, collect, startMachine, type TestMachine } from './machine.ts';

/** More than a run keeps of its output and its pipe holds together. */
const PLENTY = 3_000_000;
const LEAVERS = 20;
const PORT = 40_471;
const user = 'user';

function request(call: number, ...strings: string[]): Buffer {
  const payload = Buffer.from(strings.map((text) => `${text}\0`).join(''));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.length);
  head.writeUInt8(call, 4);
  return Buffer.concat([head, payload]);
}

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
  const drafts = () => text('find /home/user -name ".freehold-*" | wc -l');

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

  test('whoever asks to write a file and goes leaves nothing of it behind', async () => {
    for (let each = 0; each < LEAVERS; each++) {
      const socket = await machine.dial();
      socket.on('error', () => {}).write(request(CALL.write, 'user', user, 'path', '/home/user/left'));
      socket.destroy();
    }
    await expect.poll(() => text('pgrep -c freehold-call; true')).toBe('0');
    expect(await drafts()).toBe('0');
  });

  test('a writing that a signal ends leaves nothing of it behind', async () => {
    const endless = async function* () {
      for (;;) {
        yield Buffer.from('x');
        await sleep(10);
      }
    };
    const written = machine.init.write('/home/user/ended', endless(), { user });
    const outcome = written.then(
      () => 'written',
      (error: Error) => error.message,
    );
    await expect.poll(drafts).toBe('1');
    await text('pkill -TERM freehold-call');
    expect(await outcome).toContain('has ended');
    expect(await drafts()).toBe('0');
  });

  test('a watch whose caller has gone is not set up to its end', async () => {
    const [root, recursive] = ['/tmp/many', true];
    await text(`mkdir -p ${root}/{1..150}/{1..150}`);
    const begun = performance.now();
    (await machine.init.watch(root, { user, recursive })).close();
    const whole = performance.now() - begun;
    const socket = await machine.dial();
    socket.on('error', () => {}).write(request(CALL.watch, 'user', user, 'path', root, 'recursive', '1'));
    await sleep(whole / 10);
    socket.destroy();
    await sleep(whole / 2);
    expect(await text('pgrep -c freehold-call; true')).toBe('0');
    await text(`rm -rf ${root}`);
  });

  test('a connection to a port on which nothing listens does not meet itself', async () => {
    await text(`echo ${PORT} ${PORT} > /proc/sys/net/ipv4/ip_local_port_range`);
    await expect(machine.init.dial(PORT)).rejects.toMatchObject({ errno: 'ECONNREFUSED' });
  });
});
