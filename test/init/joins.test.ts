import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunEvent } from '../../src/domains/machines/init/index.ts';
import { all, BUILDS, collect, startMachine, until, type TestMachine } from './machine.ts';

const MIB = 1_048_576;
/** What one frame of input carries. */
const PIECE = 65_536;

describe.each(BUILDS)('a run that others join ($build)', ({ program }) => {
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

  test('goes on when its caller goes away, where that was asked for, and is joined again without a gap', async () => {
    const script = 'for i in $(seq 300); do echo line $i; echo error $i >&2; sleep 0.005; done; sleep 0.3';
    const run = await machine.start(script, { onDisconnect: 'keep', tag: 'rejoined' });
    const seen = { stdout: '', stderr: '', pty: '' };
    const offsets = () => ({ stdout: seen.stdout.length, stderr: seen.stderr.length, pty: 0 });
    const take = (event: RunEvent) => {
      if (event.kind !== 'output') return;
      expect(event.offset).toBe(seen[event.stream].length);
      seen[event.stream] += event.data.toString();
    };
    let current = run;
    for (let drop = 0; drop < 5; drop++) {
      for await (const event of current) {
        take(event);
        if (seen.stdout.includes(`line ${(drop + 1) * 50}\n`)) break;
      }
      current.close();
      await sleep(50);
      current = await machine.init.attach({ tag: 'rejoined' }, offsets());
      expect(current.pid).toBe(run.pid);
    }
    for await (const event of current) take(event);
    const numbers = Array.from({ length: 300 }, (_, index) => index + 1);
    expect(seen.stdout).toBe(numbers.map((number) => `line ${number}\n`).join(''));
    expect(seen.stderr).toBe(numbers.map((number) => `error ${number}\n`).join(''));
  });

  test('is followed by several at once, each at its own pace; one that only joined does not end it', async () => {
    const run = await machine.start('read x; echo $x; read y; echo $y', { stdin: true });
    const [other, third] = await Promise.all([
      machine.init.attach({ pid: run.pid }),
      machine.init.attach({ pid: run.pid }),
    ]);
    await other.write(Buffer.from('one\n'));
    await until(run, 'one');
    other.close();
    await sleep(50);
    await machine.init.input({ pid: run.pid }, Buffer.from('two\n'));
    expect(await collect(third)).toMatchObject({ stdout: 'one\ntwo\n', exitCode: 0 });
    expect(await collect(run)).toMatchObject({ stdout: 'two\n', exitCode: 0 });
  });

  test('whose output is more than is kept says from where on it is told', async () => {
    const run = await machine.start('head -c 5000000 /dev/zero; echo end; sleep 1', {
      onDisconnect: 'keep',
      tag: 'long',
    });
    run.close();
    await sleep(400);
    const joined = await machine.init.attach({ tag: 'long' }, { stdout: 0, stderr: 0, pty: 0 });
    const events = await all(joined);
    const [first] = events;
    expect(first).toMatchObject({ kind: 'output', offset: 5_000_004 - MIB });
    expect(bytesOf(events)).toHaveLength(MIB);
  });

  test('can be joined after its end for as long as was asked, and then no more', async () => {
    const run = await machine.start('echo kept; exit 7', { keepMs: 1_000, onDisconnect: 'keep' });
    run.close();
    await sleep(300);
    const join = () => machine.init.attach({ pid: run.pid }, { stdout: 0, stderr: 0, pty: 0 });
    for (let times = 0; times < 2; times++)
      expect(await collect(await join())).toMatchObject({ stdout: 'kept\n', exitCode: 7 });
    expect((await machine.init.runs()).map(({ pid }) => pid)).not.toContain(run.pid);
    await expect(machine.init.signal({ pid: run.pid }, 15, 'process')).rejects.toMatchObject({ errno: 'ESRCH' });
    await sleep(900);
    await expect(join()).rejects.toMatchObject({ name: 'InitError', errno: 'ESRCH' });
  });

  test('that is not kept is over when its caller has heard so', async () => {
    const run = await machine.start('true');
    await collect(run);
    const joining = async () => (await machine.init.attach({ pid: run.pid })).close();
    await expect.poll(() => joining().catch(String)).toBe('InitError: ESRCH');
  });

  test('is listed with all that was said of it, from the moment it is known', async () => {
    const env = { A: '1', B: 'x=y' };
    const started = Date.now();
    const run = await machine.start('', { argv: ['sleep', '10'], env, cwd: '/tmp', tag: 'listed', user: 'other' });
    const { startedAt, ...listed } = (await machine.init.runs()).find(({ pid }) => pid === run.pid)!;
    expect(listed).toEqual({
      pid: run.pid,
      tag: 'listed',
      argv: ['sleep', '10'],
      cwd: '/tmp',
      env,
      pty: false,
      user: 'other',
    });
    expect(Math.abs(startedAt.getTime() - started)).toBeLessThan(5_000);
    await machine.init.signal({ tag: 'listed' }, 15, 'process');
    expect(await collect(run)).toMatchObject({ signal: 15 });
    expect((await machine.init.runs()).map(({ tag }) => tag)).not.toContain('listed');
  });

  test('that ends while others ask for it is there for them or not, but the machine always is', async () => {
    const asking = async (index: number) => {
      const run = await machine.start('', { argv: ['true'], tag: `brief${index}` });
      const selector = { tag: `brief${index}` };
      const ask = async () => {
        const heard = [];
        for (let times = 0; times < 10; times++)
          heard.push(await machine.init.signal(selector, 18, 'process').then(() => 'there', String));
        return heard;
      };
      const [, ...asked] = await Promise.all([collect(run), ask(), ask(), ask()]);
      return asked.flat();
    };
    const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => asking(index)));
    expect(answers.flat().filter((answer) => answer !== 'there' && answer !== 'InitError: ESRCH')).toEqual([]);
  });

  test('is not at its timeout while its machine is paused', async () => {
    const run = await machine.start('echo go; sleep 4; echo whole', { timeoutMs: 2_500 });
    await until(run, 'go');
    // The sleep has begun, and by the host's clock it ends just after the pause.
    await sleep(400);
    await machine.pause();
    await sleep(3_500);
    await machine.resume();
    expect(await collect(run)).toMatchObject({ stdout: 'whole\n', exitCode: 0, timedOut: false });
  });

  test('gets a signal alone, or with all it started', async () => {
    const run = await machine.start("trap 'echo term' TERM; setsid sleep 731 & echo up; wait; wait; echo over");
    await until(run, 'up');
    await machine.init.signal({ pid: run.pid }, 15, 'process');
    await until(run, 'term');
    await expect.poll(() => sleepers('731')).toBe('1');
    await machine.init.signal({ pid: run.pid }, 15, 'tree');
    expect(await collect(run)).toMatchObject({ exitCode: 0 });
    expect(await sleepers('731')).toBe('0');
    await expect(machine.init.signal({ pid: run.pid }, 15, 'tree')).rejects.toMatchObject({ errno: 'ESRCH' });
    await expect(machine.init.signal({ pid: 1 }, 9, 'process')).rejects.toMatchObject({ errno: 'ESRCH' });
  });

  test('takes input from others than its caller, and an end of it; without a place for input they hear EPIPE', async () => {
    const run = await machine.start('cat; echo end', { stdin: true, tag: 'fed' });
    const parts = Array.from({ length: 20 }, (_, index) => `${String(index).padStart(2, '0')}${'.'.repeat(998)}\n`);
    for (const part of parts) await machine.init.input({ tag: 'fed' }, Buffer.from(part));
    await machine.init.closeInput({ tag: 'fed' });
    expect((await collect(run)).stdout).toBe(`${parts.join('')}end\n`);
    const deaf = await machine.start('sleep 10', { tag: 'deaf' });
    await expect(machine.init.input({ tag: 'deaf' }, Buffer.from('x'))).rejects.toMatchObject({ errno: 'EPIPE' });
    await expect(machine.init.closeInput({ tag: 'deaf' })).rejects.toMatchObject({ errno: 'EPIPE' });
    deaf.close();
  });

  test('gets what several send at once in whole pieces, never mixed', async () => {
    const run = await machine.start('sleep 0.2; dd bs=10000 status=none', { stdin: true, tag: 'shared' });
    const letters = ['a', 'b', 'c', 'd'];
    const sending = letters.map((letter) => machine.init.input({ tag: 'shared' }, Buffer.alloc(8 * PIECE, letter)));
    const closed = Promise.all(sending).then(() => run.closeInput());
    const { stdout } = await collect(run);
    await closed;
    expect(stdout).toHaveLength(letters.length * 8 * PIECE);
    for (let at = 0; at < stdout.length; at += PIECE) expect(new Set(stdout.slice(at, at + PIECE)).size).toBe(1);
  });

  test('has a terminal of the size asked for, which changes when told', async () => {
    const pty = { cols: 91, rows: 27 };
    const script = `tty; stty size; trap 'stty size; exit' WINCH; echo ready; while true; do sleep 0.05; done`;
    const run = await machine.start(script, { pty, tag: 'terminal' });
    const before = textOf(await until(run, 'ready'));
    expect(before).toMatch(/^\/dev\/pts\/\d+\r\n27 91\r\nready\r\n$/);
    expect((await machine.init.runs()).find(({ tag }) => tag === 'terminal')).toMatchObject({ pty: true });
    await machine.init.resize({ tag: 'terminal' }, { cols: 120, rows: 40 });
    expect(await collect(run)).toMatchObject({ exitCode: 0, pty: '40 120\r\n', stdout: '', stderr: '' });
    const plain = await machine.start('sleep 5', { tag: 'plain' });
    await expect(machine.init.resize({ tag: 'plain' }, pty)).rejects.toMatchObject({ errno: 'ENOTTY' });
    plain.close();
  });

  test('at a terminal is interrupted by its key and ends at its end of input', async () => {
    const pty = { cols: 80, rows: 24 };
    const interrupted = await machine.start('echo go; sleep 60; echo not', { pty });
    await until(interrupted, 'go');
    await interrupted.write(Buffer.from('\u0003'));
    expect(await collect(interrupted)).toMatchObject({ signal: 2 });
    const ended = await machine.start('echo go; cat; echo end', { pty });
    await until(ended, 'go');
    await ended.closeInput();
    expect(await collect(ended)).toMatchObject({ exitCode: 0, pty: 'end\r\n' });
  });

  test('waits for a slow reader and loses nothing', async () => {
    const size = 20_000_000;
    const run = await machine.start(`seq 1 3000000 | head -c ${size}`, {});
    let bytes = 0;
    const digest = createHash('sha256');
    for await (const event of run) {
      if (event.kind !== 'output') continue;
      if (bytes === 0) await sleep(1_000);
      bytes += event.data.length;
      digest.update(event.data);
    }
    expect(bytes).toBe(size);
    expect(digest.digest('hex')).toBe((await text(`seq 1 3000000 | head -c ${size} | sha256sum`)).split(' ')[0]);
  });

  test('whose keeper is killed from inside is lost; the machine goes on', async () => {
    const run = await machine.start('echo $PPID; sleep 5', { tag: 'orphan' });
    const [keeper] = textOf(await until(run, '\n')).split('\n');
    await machine.sh(`kill -9 ${keeper}`, { user: 'root' });
    await expect(collect(run)).rejects.toMatchObject({ name: 'MachineLost' });
    await expect(machine.init.attach({ tag: 'orphan' })).rejects.toMatchObject({ errno: 'ESRCH' });
    expect(await text('echo on')).toBe('on');
  });
});

const textOf = (events: RunEvent[]): string => bytesOf(events).toString();
const bytesOf = (events: RunEvent[]): Buffer =>
  Buffer.concat(events.flatMap((event) => (event.kind === 'output' ? [event.data] : [])));
