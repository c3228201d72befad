import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunEvent } from '../../src/domains/machines/init/index.ts';
import { all, BUILDS, collect, startMachine, until, type TestMachine } from './machine.ts';

const MIB = 1_048_576;

describe.each(BUILDS)('a run ($build)', ({ program }) => {
  let machine: TestMachine;

  beforeAll(async () => {
    machine = await startMachine(await program());
  });
  afterAll(async () => {
    expect(await machine.complaints()).toBe('');
    await machine.dispose();
  });

  const text = async (command: string, overrides = {}) => {
    const outcome = await machine.sh(command, overrides);
    expect(outcome).toMatchObject({ stderr: '' });
    return outcome.stdout.trim();
  };
  const sleepers = (seconds: string) => text(`pgrep -fc '^sleep ${seconds}'; true`);

  test('answers with its exit code and both streams apart', async () => {
    expect(await machine.sh('echo out; echo err >&2; exit 42')).toEqual({
      stdout: 'out\n',
      stderr: 'err\n',
      pty: '',
      exitCode: 42,
      signal: undefined,
      timedOut: false,
    });
  });

  test('that a signal ended says which', async () => {
    expect(await machine.sh('kill -KILL $$')).toMatchObject({ exitCode: undefined, signal: 9, timedOut: false });
  });

  test('that cannot begin says why, and about what', async () => {
    const why = (overrides: object) => machine.start('', overrides).then(String, (error: unknown) => String(error));
    expect(await why({ argv: ['no-such-program'] })).toBe('InitError: ENOENT (program)');
    expect(await why({ argv: ['/etc'] })).toBe('InitError: EACCES (program)');
    expect(await why({ argv: [] })).toBe('InitError: EINVAL (program)');
    expect(await why({ cwd: '/no/such' })).toBe('InitError: ENOENT (cwd)');
    expect(await why({ cwd: '/etc/passwd' })).toBe('InitError: ENOTDIR (cwd)');
    expect(await why({ cwd: '/home/other' })).toBe('InitError: EACCES (cwd)');
    expect(await why({ cwd: 'etc' })).toBe('InitError: EINVAL (cwd)');
    expect(await why({ user: 'nobody-here' })).toBe('InitError: ENOENT (user)');
    expect(await why({ argv: ['a\0b'] })).toBe('InitError: EINVAL');
  });

  test('gets its arguments, directory, environment, user and groups exactly as given', async () => {
    const argv = ['printf', '%s\\n', '', 'a b', "'$HOME'", '*', 'é\n'];
    expect((await machine.sh('', { argv })).stdout).toBe("\na b\n'$HOME'\n*\né\n\n");
    const env = { A: 'x y\nz=$B', PATH: '/usr/bin' };
    expect((await machine.sh('', { argv: ['env', '-0'], env })).stdout).toBe('A=x y\nz=$B\0PATH=/usr/bin\0');
    expect(await text('pwd; id', { cwd: '/usr/lib' })).toBe(
      '/usr/lib\nuid=64001(user) gid=64001(user) groups=64001(user),50(staff),64100(extra)',
    );
    expect(await text('id', { user: 'root' })).toBe('uid=0(root) gid=0(root) groups=0(root)');
  });

  test('finds its program along the PATH that it is given, and runs a script without a first line', async () => {
    await text('mkdir -p bin; echo "echo own \\$1" > bin/own; chmod +x bin/own');
    const env = { PATH: '/no/such:/home/user/bin:/usr/bin' };
    expect((await machine.sh('', { argv: ['own', 'word'], env })).stdout).toBe('own word\n');
  });

  test('begins with nothing of the init: no descriptors, no signals held back, a session of its own', async () => {
    const script =
      'ls -x /proc/self/fd; umask; cat /proc/self/oom_score_adj; grep -E "^Sig(Blk|Ign)" /proc/self/status';
    // The fourth is the directory that `ls` reads.
    expect((await text(script)).split(/\s+/).join(' ')).toBe(
      '0 1 2 3 0022 500 SigBlk: 0000000000000000 SigIgn: 0000000000000000',
    );
    expect(await text('ps -o pid=,pgid=,sid= -p $$ | xargs')).toMatch(/^(\d+) \1 \1$/);
  });

  test('finds its streams under their names', async () => {
    const run = await machine.start('cat /dev/stdin; echo e > /dev/stderr; echo o > /dev/stdout', { stdin: true });
    await run.write(Buffer.from('in '));
    await run.closeInput();
    expect(await collect(run)).toMatchObject({ stdout: 'in o\n', stderr: 'e\n', exitCode: 0 });
  });

  test('reads binary input and writes binary output unchanged', async () => {
    const bytes = randomBytes(3_000_000);
    const run = await machine.start('cat', { stdin: true });
    const [events] = await Promise.all([all(run), run.write(bytes).then(() => run.closeInput())]);
    expect(bytesOf(events).equals(bytes)).toBe(true);
  });

  test('without input reads an end of file at once', async () => {
    expect(await text('cat; echo done')).toBe('done');
  });

  test('that ends before it has read its input loses nothing of its output', async () => {
    const run = await machine.start('head -c 1; seq 20000; exit 5', { stdin: true });
    const writing = run.write(Buffer.alloc(8 * MIB, 'x')).then(() => run.closeInput());
    await sleep(100);
    const outcome = await collect(run);
    expect(outcome).toMatchObject({ exitCode: 5 });
    expect(outcome.stdout).toMatch(/^x1\n2\n[\s\S]*\n20000\n$/);
    await writing;
  });

  test('is heard while it runs', async () => {
    const run = await machine.start('echo one; read line; echo got $line', { stdin: true });
    await until(run, 'one');
    await run.write(Buffer.from('two\n'));
    expect((await collect(run)).stdout).toBe('got two\n');
  });

  test('answers when it ends, though what it left in the background holds its output open', async () => {
    const outcome = await machine.sh('(sleep 1; echo late; echo alive > survivor) & sleep 331 & echo started');
    expect(outcome).toMatchObject({ stdout: 'started\n', exitCode: 0 });
    expect(await sleepers('331')).toBe('1');
    // It may still write to what nobody reads any more, and does not die of it.
    await sleep(1_200);
    expect(await text('cat survivor; pkill -f "^sleep 331"')).toBe('alive');
  });

  test('dies at its timeout with all it started, whatever they ignore or detach from', async () => {
    const outcome = await machine.sh(
      `echo before; trap '' TERM INT HUP
       setsid bash -c "trap '' TERM; setsid sleep 711 & sleep 712" &
       (env -i nohup setsid sleep 713 >/dev/null 2>&1 &)
       (sleep 714 & disown) ; while true; do sleep 715; done`,
      { timeoutMs: 700 },
    );
    expect(outcome).toMatchObject({ stdout: 'before\n', signal: 9, exitCode: undefined, timedOut: true });
    expect(await sleepers('71')).toBe('0');
  });

  test('leaves other runs alone when it dies at its timeout', async () => {
    const other = machine.sh('sleep 1.5; echo survived');
    expect(await machine.sh('sleep 100', { timeoutMs: 500 })).toMatchObject({ timedOut: true });
    expect((await other).stdout).toBe('survived\n');
  });

  test('that is a fork bomb dies at its timeout, and what cannot be started meanwhile says EAGAIN', async () => {
    const bomb = machine.sh('bomb() { bomb | bomb & }; bomb; sleep 60', { timeoutMs: 2_000 });
    await sleep(1_000);
    const refusals = await Promise.all(
      Array.from({ length: 20 }, () =>
        machine.sh('true').then(
          () => 'ran',
          (error: unknown) => String(error),
        ),
      ),
    );
    expect(refusals.filter((refusal) => refusal !== 'ran' && refusal !== 'InitError: EAGAIN')).toEqual([]);
    expect(await bomb).toMatchObject({ timedOut: true, signal: 9 });
    // The command that asks, and the halves of its pipe.
    expect(Number(await text('ps -e | grep -c bash'))).toBeLessThan(4);
  });

  test('is told EAGAIN where the machine has no room for one more process, and nothing else breaks', async () => {
    const crowd = await machine.start('for i in $(seq 500); do sleep 60 & done 2>/dev/null; echo full; wait', {
      user: 'root',
    });
    const refusal = (asked: Promise<unknown>) =>
      asked.then(
        () => 'none',
        (error: unknown) => String(error),
      );
    try {
      await expect.poll(() => refusal(machine.sh('true')), { timeout: 30_000 }).toBe('InitError: EAGAIN');
      await expect.poll(() => refusal(machine.init.home('user')), { timeout: 30_000 }).toBe('InitError: EAGAIN');
    } finally {
      await machine.init.signal({ pid: crowd.pid }, 9, 'tree');
      await collect(crowd);
    }
    expect(await text('echo $((6 * 7))')).toBe('42');
  });

  test('dies with all it started when its caller goes away, where that was asked for', async () => {
    const run = await machine.start('setsid sleep 721 & echo begun; sleep 722');
    await until(run, 'begun');
    run.close();
    await expect.poll(() => sleepers('72')).toBe('0');
  });

  test('many at once each get their own output', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, index) => machine.sh(`echo ${index}; exit ${index}`)),
    );
    expect(outcomes.map(({ stdout, exitCode }) => [stdout, exitCode])).toEqual(
      outcomes.map((_, index) => [`${index}\n`, index]),
    );
  });

  test('leaves no zombie behind', async () => {
    await text('for i in $(seq 20); do (sleep 0.05 &) ; done');
    await sleep(300);
    expect(await text('ps -eo stat | grep -c Z; true')).toBe('0');
  });

  test('cannot end, trace or read the init, not even as root', async () => {
    await machine.sh('kill -9 1; kill -15 1; kill -2 1; kill -11 1', { user: 'root' });
    const snooping =
      'cat /proc/1/environ; readlink /proc/1/fd/3; readlink /proc/$PPID/fd/3; ls /proc/1/cwd/; cat /proc/1/mem';
    const { stdout, stderr } = await machine.sh(`exec 2>&1; ${snooping}; readlink /proc/1/exe || echo denied`, {
      user: 'root',
    });
    expect(stdout.replaceAll(/[^\n]*Permission denied\n/g, '')).toBe('denied\n');
    expect(stderr).toBe('');
    expect(await text('echo on')).toBe('on');
  });
});

const bytesOf = (events: RunEvent[]): Buffer =>
  Buffer.concat(events.flatMap((event) => (event.kind === 'output' ? [event.data] : [])));
