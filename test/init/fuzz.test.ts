import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InitError } from '../../src/domains/machines/init/index.ts';
import { CALL, FRAME } from '../../src/domains/machines/init/protocol.ts';
import { BUILDS, startMachine, type TestMachine } from './machine.ts';
import { damaged, pause, pick, randomOf, strings, type Random } from './random.ts';

/** Enough for some thousand conversations; a seed that finds something is named by the test that fails. */
const SEEDS = [11, 23, 37, 41, 59];
const SEED_MS = 1_800;
const AT_ONCE = 24;
const MAX_FRAMES = 4;
const HEAD_BYTES = 5;

const HOME = '/home/user/fuzz';
const TEXTS = [
  '',
  '0',
  '1',
  '-1',
  '7',
  '99999999999999999999',
  '1e3',
  '0x10',
  '%s%n',
  'user',
  HOME,
  `${HOME}/a`,
  '/',
  '//',
  '..',
  '/proc/self/mem',
  '/dev/null',
  'x'.repeat(300),
  `/${'y'.repeat(4_100)}`,
  'é\u0001\u007F',
  'tree',
  'keep',
  'true',
  'user.a=b',
  'a=',
  '=',
  'PATH=',
];
const KEYS = [
  'arg',
  'env',
  'cwd',
  'user',
  'stdin',
  'cols',
  'rows',
  'tag',
  'timeoutMs',
  'onDisconnect',
  'keepMs',
  'pid',
  'stdout',
  'stderr',
  'pty',
  'signal',
  'scope',
  'path',
  'follow',
  'depth',
  'limit',
  'offset',
  'length',
  'mode',
  'xattr',
  'xattrPrefix',
  'destination',
  'recursive',
  'port',
  'hostname',
  '',
];
/** Requests that make sense, from which the others are made. */
const SENSIBLE: readonly (readonly [number, readonly string[]])[] = [
  [
    CALL.start,
    [
      'arg',
      'cat',
      'cwd',
      '/tmp',
      'user',
      'user',
      'stdin',
      '1',
      'onDisconnect',
      'kill',
      'tag',
      'f',
      'timeoutMs',
      '500',
      'env',
      'A=b',
    ],
  ],
  [
    CALL.start,
    [
      'arg',
      'seq',
      'arg',
      '50000',
      'cwd',
      '/',
      'user',
      'user',
      'onDisconnect',
      'kill',
      'timeoutMs',
      '700',
      'keepMs',
      '100',
    ],
  ],
  [
    CALL.start,
    [
      'arg',
      'cat',
      'cwd',
      '/',
      'user',
      'user',
      'cols',
      '80',
      'rows',
      '24',
      'onDisconnect',
      'kill',
      'timeoutMs',
      '500',
      'tag',
      'f',
    ],
  ],
  [CALL.attach, ['tag', 'f', 'stdout', '0', 'stderr', '5', 'pty', '0']],
  [CALL.input, ['tag', 'f']],
  [CALL.closeInput, ['tag', 'f']],
  [CALL.signal, ['tag', 'f', 'signal', '9', 'scope', 'tree']],
  [CALL.resize, ['tag', 'f', 'cols', '10', 'rows', '10']],
  [CALL.runs, []],
  [CALL.stat, ['user', 'user', 'path', '/usr', 'follow', '1']],
  [CALL.list, ['user', 'user', 'path', '/usr/include', 'depth', '2', 'limit', '200']],
  [CALL.read, ['user', 'user', 'path', '/bin/bash', 'offset', '5', 'length', '100000']],
  [CALL.write, ['user', 'user', 'path', `${HOME}/file`, 'mode', '600', 'xattr', 'user.a=b', 'xattrPrefix', 'user.']],
  [CALL.make, ['user', 'user', 'path', `${HOME}/d/e`]],
  [CALL.move, ['user', 'user', 'path', `${HOME}/d`, 'destination', `${HOME}/z/y`]],
  [CALL.remove, ['user', 'user', 'path', `${HOME}/z`]],
  [CALL.watch, ['user', 'user', 'path', HOME, 'recursive', '1']],
  [CALL.dial, ['port', '4099']],
  [CALL.home, ['user', 'user']],
];
const FOLLOWING = [FRAME.data, FRAME.done, FRAME.ready, FRAME.output, 0, 255];

function frame(type: number, payload: Buffer, length = payload.length): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(length >>> 0);
  head.writeUInt8(type, HEAD_BYTES - 1);
  return Buffer.concat([head, payload]);
}

function request(random: Random): Buffer {
  const [call, texts] = pick(random, SENSIBLE);
  const changed = [...texts];
  for (let changes = random(3); changes > 0; changes--) {
    const at = 2 * random(changed.length / 2 + 1);
    if (random(2) === 0) changed.splice(at, 0, pick(random, KEYS), pick(random, TEXTS));
    else if (at < changed.length) changed[at + 1] = pick(random, TEXTS);
  }
  return damaged(random, HEAD_BYTES, frame(random(20) === 0 ? random(32) : call, strings(changed)));
}

const following = (random: Random): Buffer =>
  damaged(
    random,
    HEAD_BYTES,
    frame(pick(random, FOLLOWING), Buffer.alloc(pick(random, [0, 1, 100, 65_536, 65_537]), random(256))),
  );

/** One conversation: a request and some frames, whole or in pieces, and an end at any time. */
async function converse(machine: TestMachine, random: Random): Promise<void> {
  const socket = await machine.dial().catch(() => undefined);
  if (!socket) return;
  socket.on('error', () => {});
  if (random(3) > 0) socket.resume();
  const bytes = Buffer.concat([
    request(random),
    ...Array.from({ length: random(MAX_FRAMES) }, () => following(random)),
  ]);
  for (let at = 0; at < bytes.length && !socket.destroyed;) {
    const length = random(3) === 0 ? 1 + random(bytes.length) : bytes.length;
    socket.write(bytes.subarray(at, at + length));
    at += length;
    if (random(4) === 0) await pause(random(4));
  }
  if (random(2) === 0) socket.end();
  await ended(socket, random(60));
}

async function ended(socket: Socket, patience: number): Promise<void> {
  await Promise.race([new Promise((resolve) => socket.on('close', resolve)), pause(patience)]);
  socket.destroy();
}

/** A run that has ended meanwhile. */
function gone(error: unknown): void {
  if (!(error instanceof InitError)) throw error;
}

describe("a machine's init that is told anything at all", () => {
  let machine: TestMachine;

  beforeAll(async () => {
    const [, sanitized] = BUILDS;
    machine = await startMachine(await sanitized.program());
    await machine.sh(`mkdir -p ${HOME}`);
  });
  afterAll(() => machine.dispose());

  test.each(SEEDS)('answers afterwards as before (seed %i)', async (seed) => {
    const random = randomOf(seed);
    const until = performance.now() + SEED_MS;
    let conversations = 0;
    const talk = async () => {
      for (; performance.now() < until; conversations++) await converse(machine, random);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, talk));
    expect(conversations).toBeGreaterThan(50);
    expect(machine.hasEnded()).toBe(false);
    const counted = async () => {
      for (const { pid } of await machine.init.runs()) await machine.init.signal({ pid }, 9, 'tree').catch(gone);
      return (await machine.sh('ps -e | grep -c freehold-[rc]; true')).stdout;
    };
    // Full for a moment it may be; then only the keeper of this very command is left.
    await expect.poll(() => counted().catch(String), { timeout: 8_000, interval: 100 }).toBe('1\n');
    expect(await machine.complaints()).toBe('');
  });
});
