import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openSpawner, type Spawner } from '../../src/platform/spawner.ts';
import { CommandFailed } from '../../src/platform/run.ts';
import { eventually } from '../harness/agent.ts';
import { BUILDS } from './machine.ts';

const AT_ONCE = 400;
const KEPT = 16_384;
/** As many as run at a time. */
const FULL = 256;
/** More words than a command may have. */
const TOO_MANY = 300;
const SLEEP = '1000000';
const never = (): AbortSignal => new AbortController().signal;

/** What a command that fails says, and how it ended. */
async function failureOf(work: Promise<void>): Promise<{ said: string; result: CommandFailed['result'] }> {
  const error = await work.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  if (!(error instanceof CommandFailed)) throw new Error(`It did not fail as a command does: ${String(error)}`);
  return { said: error.result.stderr.toString(), result: error.result };
}

const sh = (script: string, ...args: string[]): string[] => ['/bin/sh', '-c', script, 'sh', ...args];

const isThere = (pid: number): Promise<boolean> =>
  readFile(`/proc/${pid}/stat`, 'utf8').then(
    (stat) => !stat.includes(') Z '),
    () => false,
  );

const parentOf = async (pid: number): Promise<number> =>
  Number(/^PPid:\s+(\d+)$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);

const isGone = (pid: number) =>
  eventually(
    () => isThere(pid),
    (there) => !there,
  );

describe.each(BUILDS)('what runs our commands, $build', ({ program }) => {
  let path: string;
  let spawner: Spawner;

  beforeAll(async () => {
    path = await program();
  }, 120_000);
  afterEach(() => spawner.close());

  /** The pid of a command that sleeps, and its promise. */
  async function sleeper(signal = never()): Promise<{ pid: number; ended: Promise<void> }> {
    const marker = `${process.pid}${Math.random()}`;
    const ended = spawner.must(['/bin/sh', '-c', `sleep ${SLEEP} & wait`, marker], { signal });
    ended.catch(() => {});
    const pid = await eventually(
      async () => {
        const found = spawn('pgrep', ['-f', marker]);
        const chunks: Buffer[] = [];
        found.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
        await once(found, 'close');
        return Number(Buffer.concat(chunks).toString());
      },
      (seen) => seen > 0,
    );
    return { pid, ended };
  }

  test('many at once each end with what they said, under their own number', async () => {
    spawner = openSpawner(path);
    const all = Array.from({ length: AT_ONCE }, async (_, index) => {
      const { said, result } = await failureOf(
        spawner.must(sh('echo "out $1"; echo "err $1" >&2; exit $(($1 % 250 + 1))', String(index)), {
          signal: never(),
        }),
      );
      expect(said).toBe(`out ${index}\nerr ${index}\n`);
      expect(result).toMatchObject({ kind: 'exited', exitCode: (index % 250) + 1 });
    });
    await Promise.all(all);
    await spawner.must(['true'], { signal: never() });
  });

  test('a command is not put through a shell, finds an end of file, and nothing of ours is open in it', async () => {
    spawner = openSpawner(path);
    const words = ['$(id)', '', 'ü "'];
    const { said } = await failureOf(
      spawner.must(sh('printf "<%s>" "$@"; cat; exec ls /proc/self/fd /nowhere', ...words), {
        signal: never(),
      }),
    );
    // The last one is what `ls` reads.
    expect(said).toMatch(/^<\$\(id\)><><ü ">[^\n]+\/nowhere[^\n]+\n\/proc\/self\/fd:\n0\n1\n2\n3\n$/);
  });

  test('one that is not there, and one that a signal ends, fail and say so', async () => {
    spawner = openSpawner(path);
    const absent = await failureOf(spawner.must(['/no/such/program'], { signal: never() }));
    expect(absent).toMatchObject({ said: 'init: /no/such/program: No such file or directory\n' });
    expect(absent.result).toMatchObject({ kind: 'exited', exitCode: 127 });
    const killed = await failureOf(spawner.must(sh('kill -TERM $$'), { signal: never() }));
    expect(killed.result).toMatchObject({ kind: 'exited', exitCode: 128 + 15 });
  });

  test('of a long output the beginning is kept, and what is left behind holds nobody up', async () => {
    spawner = openSpawner(path);
    const { said } = await failureOf(
      spawner.must(sh('head -c 3000000 /dev/zero | tr "\\0" x; sleep 5 & exit 1'), { signal: never() }),
    );
    expect(said).toBe('x'.repeat(KEPT));
  });

  test('an abort ends the whole group, also in the moment of the start', async () => {
    spawner = openSpawner(path);
    const abort = new AbortController();
    const { pid, ended } = await sleeper(abort.signal);
    abort.abort();
    expect((await failureOf(ended)).result.kind).toBe('aborted');
    await isGone(pid);
    const atOnce = new AbortController();
    const doomed = spawner.must(['sleep', SLEEP], { signal: atOnce.signal });
    atOnce.abort();
    expect((await failureOf(doomed)).result.kind).toBe('aborted');
    await expect(spawner.must(['true'], { signal: atOnce.signal })).rejects.toThrow('aborted');
  });

  test('an abort ends one of as many as may run, and one that has not begun, though nothing else ends', async () => {
    spawner = openSpawner(path);
    const [running, later] = [new AbortController(), new AbortController()];
    const signals = Array.from({ length: FULL - 1 }, never);
    const all = [running.signal, ...signals].map((signal) => failureOf(spawner.must(['sleep', SLEEP], { signal })));
    const next = spawner.must(['true'], { signal: never() });
    const waiting = failureOf(spawner.must(['sleep', SLEEP], { signal: later.signal }));
    later.abort();
    expect((await waiting).result.kind).toBe('aborted');
    running.abort();
    expect((await all[0])?.result.kind).toBe('aborted');
    await next;
    spawner.close();
    await Promise.all(all);
  });

  test('a command of more words than it takes is refused, not shortened', async () => {
    spawner = openSpawner(path);
    const words = Array.from({ length: TOO_MANY }, String);
    const { said, result } = await failureOf(spawner.must(sh('echo $#; exit 1', ...words), { signal: never() }));
    expect(said).toBe('Argument list too long');
    expect(result).toMatchObject({ kind: 'exited', exitCode: 127 });
  });

  test('ends all of them when we close it, and begins anew for the next command', async () => {
    spawner = openSpawner(path);
    const { pid, ended } = await sleeper();
    spawner.close();
    expect((await failureOf(ended)).result.kind).toBe('aborted');
    await isGone(pid);
    await spawner.must(['true'], { signal: never() });
  });

  test('ends all of them when we close it, also when no more may run', async () => {
    spawner = openSpawner(path);
    const { pid } = await sleeper();
    const parent = await parentOf(pid);
    const others = Array.from({ length: FULL }, () => failureOf(spawner.must(['sleep', SLEEP], { signal: never() })));
    await eventually(
      async () => (await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8')).trim().split(' ').length,
      (count) => count === FULL,
    );
    spawner.close();
    await Promise.all(others);
    await isGone(pid);
    await isGone(parent);
  });

  test('where it is killed its commands die with it, and the next one has another', async () => {
    spawner = openSpawner(path);
    const { pid, ended } = await sleeper();
    process.kill(await parentOf(pid), 'SIGKILL');
    expect((await failureOf(ended)).said).toBe('what runs our commands has ended');
    await isGone(pid);
    // What it had begun itself is for whoever finds the machine.
    process.kill(-pid, 'SIGKILL');
    await spawner.must(['true'], { signal: never() });
  });

  test('does itself what it is asked to do first, and tells who asks for nonsense how', async () => {
    spawner = openSpawner(path);
    for (const words of [[], ['bound'], ['bound', '1'], ['bound', '1', '--'], ['link', '1', '--', 'true'], ['--']])
      expect((await failureOf(spawner.must([path, ...words], { signal: never() }))).said).toContain('usage: init');
  });

  test.each([
    ['a length that is too large', Buffer.from('ffffffff00000001', 'hex')],
    ['a length without a number', Buffer.from('0000000000000001', 'hex')],
    ['strings that do not end', Buffer.from('0000000700000001616263', 'hex')],
  ])('ends at %s', async (_, nonsense) => {
    spawner = openSpawner(path);
    const child = spawn(path, ['spawn'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
    (child.stdio[3] as Socket).on('error', () => {}).write(nonsense);
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
  });
});
