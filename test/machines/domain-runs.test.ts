import { beforeEach, describe, expect, test } from 'vitest';
import type { Machines, RunEvent, RunStream } from '../../src/domains/machines/index.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import type { TestHost } from './host.ts';
import { machinesWorld } from './machines-world.ts';

const world = machinesWorld();
const { op, started } = world;
let host: TestHost;
let machines: Machines;
let id: MachineId;

beforeEach(async () => {
  ({ host, machines } = world);
  id = await started();
});

type Heard = { stdout: string; stderr: string; pty: string; exit: unknown };

async function heard(stream: RunStream, until: (heard: Heard) => boolean = () => false): Promise<Heard> {
  const all: Heard = { stdout: '', stderr: '', pty: '', exit: undefined };
  for await (const event of stream) {
    take(all, event);
    if (until(all)) break;
  }
  return all;
}

function take(all: Heard, event: RunEvent): void {
  if (event.kind === 'exit') all.exit = event.exit.exitCode ?? event.exit.signal;
  else all[event.stream] += event.data.toString();
}

const text = async (command: string | string[], overrides = {}) => {
  const outcome = await machines.exec(op(), id, { command, ...overrides });
  expect({ kind: outcome.kind, stderr: outcome.stderr.toString() }).toEqual({ kind: 'exited', stderr: '' });
  return outcome.stdout.toString().trim();
};

describe('a command that is begun', () => {
  test('streams what it prints, and takes input as it comes', async () => {
    const run = await machines.run(op(), id, {
      command: 'while read line; do echo "<$line>"; echo e >&2; done',
      stdin: true,
    });
    expect(run.pid).toBeGreaterThan(1);
    await run.write(Buffer.from('one\n'));
    expect(await heard(run, ({ stdout, stderr }) => stdout === '<one>\n' && stderr === 'e\n')).toBeDefined();
    await run.write(Buffer.from('two\n'));
    await run.closeInput();
    expect(await heard(run)).toMatchObject({ stdout: '<two>\n', exit: 0 });
  });

  test('goes on when it is let go of, is found by number and tag, and joined where one left off', async () => {
    const run = await machines.run(op(), id, {
      command: 'for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done',
      tag: 'count',
    });
    await heard(run, ({ stdout }) => stdout.includes('2'));
    run.close();
    expect(await machines.runs(op(), id)).toMatchObject([{ pid: run.pid, tag: 'count', user: 'user', pty: false }]);
    const joined = await machines.attach(op(), id, { tag: 'count' }, { stdout: 4, stderr: 0, pty: 0 });
    expect(await heard(joined)).toMatchObject({ stdout: '3\n4\n5\n6\n', exit: 0 });
    expect(await machines.runs(op(), id)).toEqual([]);
  });

  test('tells its end to who comes later, for as long as that was asked for', async () => {
    const kept = await machines.run(op(), id, { command: 'echo over; exit 3', tag: 'kept', keepMs: 60_000 });
    await heard(kept);
    const joined = await machines.attach(op(), id, { pid: kept.pid }, { stdout: 0, stderr: 0, pty: 0 });
    expect(await heard(joined)).toMatchObject({ stdout: 'over\n', exit: 3 });
    const forgotten = await machines.run(op(), id, { command: 'true' });
    await heard(forgotten);
    // The machine hears of its last follower's leaving a moment later.
    await expect
      .poll(() => machines.attach(op(), id, { pid: forgotten.pid }).catch((error: unknown) => error))
      .toMatchObject({ code: 'not_found' });
  });

  test('takes signals, alone or with all that it started', async () => {
    const alone = await machines.run(op(), id, {
      command: 'trap "echo got; exit 7" USR1; echo up; while :; do sleep 0.05; done',
    });
    await heard(alone, ({ stdout }) => stdout === 'up\n');
    await machines.signalRun(op(), id, { pid: alone.pid }, 10, 'process');
    expect(await heard(alone)).toMatchObject({ stdout: 'got\n', exit: 7 });
    const tree = await machines.run(op(), id, { command: 'setsid sleep 731 & echo up; sleep 732' });
    await heard(tree, ({ stdout }) => stdout === 'up\n');
    await machines.signalRun(op(), id, { pid: tree.pid }, 9);
    expect(await heard(tree)).toMatchObject({ exit: 9 });
    expect(await text("pgrep -fc '^sleep 73' || true")).toBe('0');
    await expect(machines.signalRun(op(), id, { pid: tree.pid }, 9)).rejects.toMatchObject({ code: 'not_found' });
    await expect(machines.signalRun(op(), id, { pid: 1 }, 9)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('has a terminal that can be made larger, and input from beside its stream', async () => {
    const run = await machines.run(op(), id, {
      command: 'stty size; echo $TERM; read x; stty size; exit 4',
      pty: { cols: 80, rows: 24 },
    });
    await heard(run, ({ pty }) => pty.includes('xterm'));
    await machines.resizeRun(op(), id, { pid: run.pid }, { cols: 10_000, rows: 50 });
    await machines.inputRun(op(), id, { pid: run.pid }, Buffer.from('go\n'));
    const { pty, exit } = await heard(run);
    expect(pty).toContain('50 10000');
    expect(exit).toBe(4);
    const plain = await machines.run(op(), id, { command: 'sleep 60', onDisconnect: 'kill' });
    await expect(machines.resizeRun(op(), id, { pid: plain.pid }, { cols: 1, rows: 1 })).rejects.toMatchObject({
      code: 'conflict',
    });
    await expect(machines.inputRun(op(), id, { pid: plain.pid }, Buffer.from('x'))).rejects.toMatchObject({
      code: 'conflict',
    });
    plain.close();
  });

  test('dies with its stream where that was asked for, and when its op is not wanted any more', async () => {
    const gone = new AbortController();
    await machines.run({ ...op(), signal: gone.signal }, id, { command: 'sleep 741', onDisconnect: 'kill' });
    const closed = await machines.run(op(), id, { command: 'sleep 742', onDisconnect: 'kill' });
    const stays = await machines.run(op(), id, { command: 'sleep 743' });
    gone.abort();
    closed.close();
    stays.close();
    await expect.poll(() => text("pgrep -fa '^sleep 74' | cut -d' ' -f2-")).toBe('sleep 743');
  });

  test('that cannot begin is refused with the reason', async () => {
    const cases: [Parameters<Machines['run']>[2], string, string][] = [
      [{ command: ['no-such-program'] }, 'invalid', 'The program was not found.'],
      [{ command: ['/etc/passwd'] }, 'invalid', 'The program cannot be run.'],
      [{ command: 'true', cwd: '/no/such' }, 'invalid', 'The working directory does not exist or may not be entered.'],
      [{ command: 'true', cwd: '/root' }, 'invalid', 'The working directory does not exist or may not be entered.'],
      [{ command: 'true', user: 'nobody-here' }, 'invalid', 'There is no such user in the machine.'],
      [{ command: 'true', user: 'a:b' }, 'invalid', 'There is no such user in the machine.'],
      [{ command: 'true', pty: { cols: 0, rows: 1 } }, 'invalid', 'A terminal has from 1 to 10000 columns and rows.'],
      [{ command: 'true', tag: '' }, 'invalid', 'A tag has 1 to 256 bytes.'],
    ];
    for (const [request, code, message] of cases)
      await expect(machines.run(op(), id, request)).rejects.toMatchObject({ code, message });
  });

  test('ends with its machine', async () => {
    const run = await machines.run(op(), id, { command: 'echo up; sleep 60' });
    await heard(run, ({ stdout }) => stdout === 'up\n');
    await machines.destroy(op(), id);
    await expect(heard(run)).rejects.toMatchObject({ code: 'conflict', message: 'The machine is not running.' });
  });
});

describe('a command finds around it', () => {
  test('what its user would, and what it was given', async () => {
    expect(await text('echo $HOME $USER $LOGNAME $SHELL $LANG $PWD')).toBe(
      '/home/user user user /bin/bash C.UTF-8 /home/user',
    );
    expect(await text('echo $HOME $USER $PWD', { user: 'root' })).toBe('/root root /root');
    expect(await text('echo $HOME $A $PATH', { env: { A: 'b', HOME: '/tmp', PATH: '/bin' } })).toBe('/tmp b /bin');
    expect(await text('pwd', { cwd: 'a/..' }).catch(() => '')).toBe('/home/user');
    expect(await text('env | sort | cut -d= -f1')).toBe(
      ['HOME', 'LANG', 'LOGNAME', 'PATH', 'PWD', 'SHELL', 'SHLVL', 'USER', '_'].join('\n'),
    );
  });

  test('the home and shell of any user that the machine has', async () => {
    await text('useradd --create-home --home-dir /srv/worker --shell /bin/sh --uid 4321 worker', { user: 'root' });
    expect(await machines.home(op(), id, 'worker')).toMatchObject({ home: '/srv/worker', uid: 4321, shell: '/bin/sh' });
    expect(await text('id -un; pwd; echo $HOME $SHELL', { user: 'worker' })).toBe(
      'worker\n/srv/worker\n/srv/worker /bin/sh',
    );
    await machines.writeFile(op(), id, 'note', 'mine', { user: 'worker' });
    expect(await text('stat -c %U /srv/worker/note')).toBe('worker');
    await expect(machines.home(op(), id, 'nobody-here')).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('a machine that is paused', () => {
  test('goes on with every process, stream and byte', async () => {
    const run = await machines.run(op(), id, {
      command: 'i=0; while [ $i -lt 40 ]; do echo $i; i=$((i+1)); sleep 0.05; done',
    });
    const all = heard(run);
    for (let cycle = 0; cycle < 10; cycle++) {
      await machines.pause(op(), id);
      await machines.resume(op(), id);
    }
    const { stdout, exit } = await all;
    expect(stdout).toBe(Array.from({ length: 40 }, (_, index) => `${index}\n`).join(''));
    expect(exit).toBe(0);
  });

  test('ends what takes too long at its time, and at once what is not wanted any more', async () => {
    const late = machines.exec(op(), id, { command: 'echo begun; sleep 60', timeoutMs: 1_000 });
    await expect.poll(() => text('pgrep -c sleep || true')).toBe('1');
    await host.driver.pause(id);
    expect(await late).toMatchObject({ kind: 'timeout', stdout: Buffer.from('begun\n') });
    const hurry = AbortSignal.timeout(200);
    expect((await machines.exec({ ...op(), signal: hurry }, id, { command: 'true' })).kind).toBe('aborted');
    await host.driver.resume(id);
    await expect.poll(() => text('pgrep -c sleep || true')).toBe('0');
  });
});

describe('a machine that is stopped', () => {
  test('comes back with its disk and without its processes', async () => {
    await machines.writeFile(op(), id, 'kept', 'x');
    (await machines.run(op(), id, { command: 'sleep 751' })).close();
    await machines.stop(op(), id);
    expect(await machines.sweep(op())).toEqual({ removed: [] });
    await machines.boot(op(), id);
    expect(await text('cat kept; pgrep -fc "^sleep 75" || true')).toBe('x0');
    expect((await machines.usage(op(), id))?.cpuSeconds).toBeGreaterThan(0);
  });
});

describe('a machine that begins with a snapshot', () => {
  test('has the files of the first as they were, and its own name; neither sees what the other does then', async () => {
    await machines.writeFile(op(), id, 'shared', 'before');
    const snapshot = await machines.snapshot(op(), id, { name: 'base' });
    expect(snapshot.bytes).toBeGreaterThan(0);
    await machines.writeFile(op(), id, 'shared', 'after');
    await machines.destroy(op(), id);
    const forks = await Promise.all([1, 2, 3].map(() => started({ snapshot: snapshot.id })));
    const names = await Promise.all(
      forks.map(async (fork) => {
        const outcome = await machines.exec(op(), fork, { command: 'cat shared; echo; hostname; cat /etc/machine-id' });
        expect(outcome.stdout.toString()).toMatch(/^before\n/);
        return outcome.stdout.toString();
      }),
    );
    expect(new Set(names).size).toBe(3);
    await machines.removeSnapshot(op(), snapshot.id);
  });
});
