import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MachineId } from '../../src/kernel/ids.ts';
import { prepareTestHost, RUNTIMES, testHost, type TestHost } from './host.ts';

beforeAll(async () => {
  await prepareTestHost();
}, 900_000);

describe.each(RUNTIMES)('a command in a machine (%s)', (runtime) => {
  let host: TestHost;
  let id: MachineId;

  beforeAll(async () => {
    host = await testHost(runtime);
    id = await host.create();
  });
  afterAll(() => host.dispose());

  const text = async (command: string, overrides = {}) => {
    const outcome = await host.sh(id, command, overrides);
    expect({ kind: outcome.kind, stderr: outcome.stderr.toString() }).toEqual({ kind: 'exited', stderr: '' });
    return outcome.stdout.toString().trim();
  };

  test('answers with its exit code and both streams apart', async () => {
    const outcome = await host.sh(id, 'echo out; echo err >&2; exit 42');
    expect(outcome).toMatchObject({ kind: 'exited', exitCode: 42, stdoutTruncated: false, stderrTruncated: false });
    expect([outcome.stdout.toString(), outcome.stderr.toString()]).toEqual(['out\n', 'err\n']);
  });

  test('that a signal ended has exit code 128 + signal', async () => {
    expect(await host.sh(id, 'kill -KILL $$')).toMatchObject({ kind: 'exited', exitCode: 137 });
  });

  test('that does not exist has exit code 127, in a directory that does not exist 126', async () => {
    expect(await host.sh(id, '', { command: ['no-such-program'] })).toMatchObject({ kind: 'exited', exitCode: 127 });
    expect(await host.sh(id, 'true', { cwd: '/no/such/directory' })).toMatchObject({ kind: 'exited', exitCode: 126 });
  });

  test('runs as the user at home, or as root, who is nobody outside', async () => {
    expect(await text('id -un; id -u; pwd; echo $HOME')).toBe('user\n1000\n/home/user\n/home/user');
    expect(await text('id -un; pwd', { user: 'root', cwd: '/root' })).toBe('root\n/root');
    expect(await text('cat /proc/self/uid_map', { user: 'root' })).toMatch(/^0 +[1-9]\d{5,} +65536$/);
  });

  test('may become root by sudo', async () => {
    expect(await text('sudo id -u')).toBe('0');
  });

  test('gets its arguments, directory and environment exactly as given', async () => {
    const argv = ['printf', '%s\\n', '', 'a b', "'$HOME'", '*', 'é\n'];
    const outcome = await host.sh(id, '', { command: argv });
    expect(outcome.stdout.toString()).toBe("\na b\n'$HOME'\n*\né\n\n");
    expect(await text('pwd; echo "$A"', { cwd: '/usr/lib', env: { A: 'x y\nz=$B' } })).toBe('/usr/lib\nx y\nz=$B');
  });

  test('reads binary input and writes binary output unchanged', async () => {
    const bytes = randomBytes(3_000_000);
    const outcome = await host.sh(id, 'cat', { stdin: bytes, maxOutputBytes: 4_000_000 });
    expect(outcome.stdout.equals(bytes)).toBe(true);
  });

  test('finds its streams under their names', async () => {
    const outcome = await host.sh(id, 'cat /dev/stdin; echo e > /dev/stderr; echo o > /dev/stdout', {
      stdin: Buffer.from('in '),
    });
    expect([outcome.stdout.toString(), outcome.stderr.toString()]).toEqual(['in o\n', 'e\n']);
  });

  test('without input reads an end of file at once', async () => {
    expect(await text('cat; echo done')).toBe('done');
  });

  test('is heard while it runs, and kept only up to the limit', async () => {
    const heard: string[] = [];
    const outcome = await host.sh(id, 'for i in 1 2 3; do echo line $i; sleep 0.2; done', {
      maxOutputBytes: 9,
      onOutput: (stream, chunk) => heard.push(`${stream} ${chunk.toString().trim()}`),
    });
    expect(heard).toEqual(['stdout line 1', 'stdout line 2', 'stdout line 3']);
    expect(outcome.stdout.toString()).toBe('line 1\nli');
    expect(outcome.stdoutTruncated).toBe(true);
  });

  test('answers when it ends, though what it left in the background holds its output open', async () => {
    const outcome = await host.sh(id, 'sleep 300 & echo started');
    expect(outcome).toMatchObject({ kind: 'exited', exitCode: 0 });
    expect(outcome.stdout.toString()).toBe('started\n');
    expect(await text('pgrep -c sleep')).not.toBe('0');
    await host.sh(id, 'pkill sleep');
  });

  test('dies at its timeout with all it started, whatever they ignore or detach from', async () => {
    const outcome = await host.sh(
      id,
      `echo before; trap '' TERM INT HUP
       setsid bash -c "trap '' TERM; setsid sleep 711 & sleep 712" &
       (env -i nohup setsid sleep 713 >/dev/null 2>&1 &)
       (sleep 714 & disown) ; while true; do sleep 715; done`,
      { timeoutMs: 1_500 },
    );
    expect(outcome.kind).toBe('timeout');
    expect(outcome.stdout.toString()).toBe('before\n');
    expect(await text("pgrep -af 'sleep 71' | grep -v pgrep | wc -l")).toBe('0');
  });

  test('leaves other commands alone when it dies at its timeout', async () => {
    const other = host.sh(id, 'sleep 4; echo survived');
    expect((await host.sh(id, 'sleep 100', { timeoutMs: 1_000 })).kind).toBe('timeout');
    expect((await other).stdout.toString()).toBe('survived\n');
  });

  test('dies when the caller no longer wants it', async () => {
    const wanted = new AbortController();
    const running = host.sh(id, 'echo begun; sleep 721', { onOutput: () => wanted.abort(), signal: wanted.signal });
    expect((await running).kind).toBe('aborted');
    expect(await text("pgrep -af 'sleep 72' | grep -v pgrep | wc -l")).toBe('0');
  });

  test('leaves no zombie behind: the first process reaps', async () => {
    await text('for i in $(seq 20); do (sleep 0.05 &) ; done');
    expect(await text('sleep 0.5; ps -eo stat | grep -c Z; true')).toBe('0');
  });

  test('many at once each get their own output', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, index) => host.sh(id, `echo ${index}; exit ${index}`)),
    );
    expect(outcomes.map((outcome) => outcome.stdout.toString().trim())).toEqual(
      outcomes.map((_, index) => String(index)),
    );
  });

  test('in a machine that is not there, or that ends meanwhile, is lost', async () => {
    expect((await host.sh('mch_unknown' as MachineId, 'true')).kind).toBe('lost');
    const doomed = await host.create({ network: 'none' });
    const running = host.sh(doomed, 'echo up; sleep 30');
    await host.sh(doomed, 'sleep 0.3');
    await host.driver.destroy(doomed);
    expect((await running).kind).toBe('lost');
  });
});
