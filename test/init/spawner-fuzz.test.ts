import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, type CommandFailed } from '../../src/platform/run.ts';
import { openSpawner } from '../../src/platform/spawner.ts';
import { BUILDS } from './machine.ts';
import { damaged, pause, pick, randomOf, strings, type Random } from './random.ts';

const SEEDS = [13, 29, 43];
const SEED_MS = 1_800;
const AT_ONCE = 6;
/** More than run at a time. */
const COMMANDS_AT_ONCE = 300;
const MAX_REQUESTS = 8;
const HEAD_BYTES = 8;
const KEPT = 16_384;
const TOO_MANY = 300;
/** A word longer than a whole request may be. */
const TOO_LONG = 1_100_000;
/** Whoever a changed byte makes it run, it may do nothing on the host. */
const NOBODY = '64999';

const TEXTS = [
  '',
  '0',
  '-1',
  '--',
  '%s%n',
  '/',
  '..',
  'x'.repeat(300),
  '\u00E9\u0001\u007F',
  'y'.repeat(20_000),
  'z'.repeat(TOO_LONG),
];

/** Commands that make sense, of which the others are made; each ends by itself, but for the last. */
const commandsOf = (own: string, directory: string): readonly (readonly string[])[] => [
  ['true'],
  ['/bin/sh', '-c', 'echo out; echo err >&2; exit 3'],
  ['head', '-c', '100000', '/dev/zero'],
  ['/no/such/program'],
  Array.from({ length: TOO_MANY }, () => 'true'),
  [own],
  [own, 'bound', '0', '--', 'true'],
  [own, 'link', '0', '', '', '--', 'true'],
  [own, 'assemble', '', directory, join(directory, 'disk'), '1', '--', 'true'],
  [own, 'listen', join(directory, 'socket'), '--', 'true'],
  ['sleep', '1000'],
];

/** Commands that are whole, and how each ends unless it is ended: the last only then. */
const ENDINGS: readonly (readonly [words: readonly string[], ending: string])[] = [
  [['true'], 'well'],
  [['/bin/sh', '-c', 'echo out; echo err >&2; exit 3'], '3 out\nerr\n'],
  [['/bin/sh', '-c', 'head -c 100000 /dev/zero | tr "\\0" x; exit 4'], `4 ${'x'.repeat(KEPT)}`],
  [['/no/such/program'], '127 init: /no/such/program: No such file or directory\n'],
  [Array.from({ length: TOO_MANY }, () => 'true'), '127 Argument list too long'],
  [['sleep', '1000'], 'aborted'],
];

const endingOf = (work: Promise<void>): Promise<string> =>
  work.then(
    () => 'well',
    ({ result }: CommandFailed) =>
      result.kind === 'exited' ? `${result.exitCode} ${result.stderr.toString()}` : result.kind,
  );

type Made = { bytes: Buffer; started: Set<number> };

/** Some commands, and the ends of some of them; numbers come once. */
function requests(random: Random, commands: readonly (readonly string[])[], isSound: boolean): Made {
  const made: Made = { bytes: Buffer.alloc(0), started: new Set() };
  const add = (number: number, words: readonly string[]) => {
    const text = strings(words);
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32BE(4 + text.length);
    head.writeUInt32BE(number >>> 0, 4);
    const request = Buffer.concat([head, text]);
    made.bytes = Buffer.concat([made.bytes, isSound ? request : damaged(random, HEAD_BYTES, request)]);
  };
  for (let count = 1 + random(MAX_REQUESTS); count > 0; count--) {
    const number = pick(random, [count, 0xffff_ffff - count]);
    const words = [...pick(random, commands)];
    if (!isSound && random(2) === 0) words[random(words.length)] = pick(random, TEXTS);
    add(number, words);
    made.started.add(number);
    if (words[0] === 'sleep' || random(4) === 0) add(number, []);
    if (random(4) === 0) add(random(0xffff), []);
  }
  return made;
}

/** The numbers of whole answers, in their order. */
function answersIn(bytes: Buffer): number[] {
  const numbers: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32BE(at);
    if (length < 8 || length > 8 + KEPT || at + 4 + length > bytes.length) throw new Error('This is no answer.');
    numbers.push(bytes.readUInt32BE(at + 4));
    at += 4 + length;
  }
  return numbers;
}

describe('what runs our commands, told anything at all', () => {
  let directory: string;
  let commands: readonly (readonly string[])[];
  let own: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'freehold-spawner-'));
    own = join(directory, 'init');
    const [, sanitized] = BUILDS;
    await copyFile(await sanitized.program(), own);
    for (const path of [directory, own]) await chmod(path, 0o777);
    commands = commandsOf(own, directory);
  }, 120_000);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const begin = () => {
    const command = ['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups', own, 'spawn'];
    const child = spawn('setpriv', command, {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      env: {
        PATH: '/usr/bin:/bin',
        ASAN_OPTIONS: `detect_leaks=0:log_path=${directory}/report`,
        UBSAN_OPTIONS: `print_stacktrace=1:log_path=${directory}/report`,
      },
    });
    return { ended: once(child, 'exit'), channel: child.stdio[3] as Socket };
  };

  /** One conversation: some requests, whole or in pieces. What is sound is answered; then, or at any time, it ends. */
  async function converse(random: Random): Promise<void> {
    const isSound = random(2) === 0;
    const { bytes, started } = requests(random, commands, isSound);
    const { ended, channel } = begin();
    let said = Buffer.alloc(0);
    channel.on('data', (chunk: Buffer) => (said = Buffer.concat([said, chunk]))).on('error', () => {});
    for (let at = 0; at < bytes.length && !channel.destroyed;) {
      const length = random(3) === 0 ? 1 + random(bytes.length) : bytes.length;
      channel.write(bytes.subarray(at, at + length));
      at += length;
      if (random(4) === 0) await pause(random(4));
    }
    if (isSound) {
      const numbers = () => answersIn(said).toSorted((one, other) => one - other);
      const expected = [...started].toSorted((one, other) => one - other);
      await expect.poll(() => numbers().length, { timeout: 5_000, interval: 10 }).toBe(expected.length);
      expect(numbers()).toEqual(expected);
    } else {
      await pause(random(60));
    }
    channel.destroy();
    expect(await ended).toEqual([0, null]);
  }

  test.each(SEEDS)('answers what makes sense, and ends with all it began (seed %i)', async (seed) => {
    const random = randomOf(seed);
    const until = performance.now() + SEED_MS;
    let conversations = 0;
    const talk = async () => {
      for (; performance.now() < until; conversations++) await converse(random);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, talk));
    expect(conversations).toBeGreaterThan(20);
    const left = async () => (await run(['ps', '-o', 'args=', '-u', NOBODY])).stdout.toString();
    await expect.poll(left, { timeout: 5_000 }).toBe('');
    const reports = (await readdir(directory)).filter((name) => name.startsWith('report'));
    expect(await Promise.all(reports.map((name) => readFile(join(directory, name), 'utf8')))).toEqual([]);
  });

  test.each(SEEDS)('tells the server of each command how it ended, or that it was ended (seed %i)', async (seed) => {
    const random = randomOf(seed);
    const until = performance.now() + SEED_MS;
    const spawner = openSpawner(own);
    const talk = async () => {
      while (performance.now() < until) {
        const [words, ending] = pick(random, ENDINGS);
        const abort = new AbortController();
        const ended = endingOf(spawner.must([...words], { signal: abort.signal }));
        const isEnded = ending === 'aborted' || random(4) === 0;
        if (isEnded) await pause(random(40));
        if (isEnded) abort.abort();
        expect(isEnded ? [ending, 'aborted'] : [ending]).toContain(await ended);
      }
    };
    await Promise.all(Array.from({ length: COMMANDS_AT_ONCE }, talk));
    spawner.close();
  });
});
