import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { MINUTE, SECOND } from '../../kernel/time.ts';
import { stopwatch } from '../../platform/clock.ts';
import { AppError } from '../../kernel/errors.ts';
import { argvOf, checkTimeout, inImage, NO_SUCH_USER, surroundings, type Command } from './command.ts';
import { InitError, MachineLost, type RunExit, type RunStream } from './init/index.ts';
import type { MachineDriver } from './drivers/driver.ts';
import type { Machine } from './machine.ts';
import { visibleTo } from './policy.ts';
import { initOf } from './reach.ts';
import { findMachine } from './store.ts';
import type { MachinesWorld } from './world.ts';

export type OutputStream = 'stdout' | 'stderr';

export type CommandRequest = Command & {
  stdin?: Uint8Array | string | undefined;
  timeoutMs?: number | undefined;
  /** Bytes kept of each stream; the rest is read and dropped. */
  maxOutputBytes?: number | undefined;
  /** Sees every chunk as it comes, also those past `maxOutputBytes`. */
  onOutput?: ((stream: OutputStream, chunk: Buffer) => void) | undefined;
};

export type ExecOutput = {
  stdout: Buffer;
  stderr: Buffer;
  stdoutTruncated: boolean;
  stderrTruncated: boolean;
  durationMs: number;
};

/**
 * How a command ended, as a value: failure is ordinary here. At `timeout` and `aborted` the command and everything it
 * started is dead. `lost` means that the machine is not there or stopped while the command ran.
 */
export type ExecOutcome = ExecOutput &
  ({ kind: 'exited'; exitCode: number } | { kind: 'timeout' } | { kind: 'aborted' } | { kind: 'lost'; reason: string });

type Ending =
  | { kind: 'exited'; exitCode: number }
  | { kind: 'timeout' }
  | { kind: 'aborted' }
  | { kind: 'lost'; reason: string };

const DEFAULT_TIMEOUT_MS = 5 * MINUTE;
const DEFAULT_OUTPUT_BYTES = 1_000_000;
/** The machine keeps the timeout itself; one that is frozen meanwhile, or lies, is waited for no longer than this. */
const TIMEOUT_GRACE_MS = 2 * SECOND;
/** How long a command that is not wanted any more may take to die. */
const KILL_GRACE_MS = 2 * SECOND;
const SIGKILL = 9;
const NOT_FOUND = 127;
const CANNOT_START = 126;
/** As in a shell: what a signal ended has this and the signal's number as its exit code. */
const SIGNAL_BASE = 128;
const NO_ROOM = 'The command could not be started: the machine has no room for another process.';

/** Runs a command in a machine to its end, its timeout or the op's abort. Throws `invalid` for what cannot be run. */
export async function exec(world: MachinesWorld, op: Op, id: MachineId, request: CommandRequest): Promise<ExecOutcome> {
  checkCommand(request);
  const machine = visibleTo(op, await findMachine(world.db, id));
  if (machine.state === 'running')
    return runToEnd(world.driver, machine, await inImage(world, machine, request), op.signal);
  return outputOf(request).endedAs({ kind: 'lost', reason: `The machine is ${machine.state}.` });
}

function checkCommand(request: CommandRequest): void {
  argvOf(request);
  checkTimeout(request.timeoutMs ?? DEFAULT_TIMEOUT_MS);
}

/** The same in a machine that the caller knows to be its own and running. */
export async function runToEnd(
  driver: MachineDriver,
  machine: Pick<Machine, 'id' | 'image'>,
  request: CommandRequest,
  wanted: AbortSignal,
): Promise<ExecOutcome> {
  const argv = argvOf(request);
  const timeoutMs = request.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const output = outputOf(request);
  const hold = holdOf(driver, machine.id, wanted, timeoutMs);
  try {
    const init = initOf(driver, machine.id, hold.signal);
    const around = await surroundings({ machine, init }, request);
    const stdin = request.stdin !== undefined;
    const stream = await init.start({ ...around, argv, stdin, timeoutMs, onDisconnect: 'kill' });
    hold.has(stream);
    if (request.stdin !== undefined) feed(stream, request.stdin);
    return output.endedAs(endingOf(await lastOf(stream, output.take), hold));
  } catch (error) {
    const ending = failureOf(error, argv[0] ?? '', hold);
    if (ending.kind === 'exited') output.take('stderr', Buffer.from(`${ending.remark}\n`));
    return output.endedAs(ending);
  } finally {
    hold.letGo();
  }
}

type Hold = {
  /** Cuts the connection, which ends the command. */
  readonly signal: AbortSignal;
  readonly cutBy: 'timeout' | 'aborted' | undefined;
  has(stream: RunStream): void;
  letGo(): void;
};

/** What ends a command that takes too long or is not wanted any more. */
function holdOf(driver: MachineDriver, id: MachineId, wanted: AbortSignal, timeoutMs: number): Hold {
  const cut = new AbortController();
  let cutBy: Hold['cutBy'];
  let running: RunStream | undefined;
  const cutOff = (by: NonNullable<Hold['cutBy']>) => {
    cutBy ??= by;
    cut.abort();
  };
  let lastResort: NodeJS.Timeout | undefined;
  const overdue = setTimeout(() => cutOff('timeout'), timeoutMs + TIMEOUT_GRACE_MS);
  const onAbort = () => {
    if (!running) return cutOff('aborted');
    cutBy ??= 'aborted';
    lastResort = setTimeout(() => cut.abort(), KILL_GRACE_MS);
    // Its end is then told on its own stream, after which nothing of it is left.
    initOf(driver, id, cut.signal)
      .signal({ pid: running.pid }, SIGKILL, 'tree')
      .catch(() => cut.abort());
  };
  if (wanted.aborted) onAbort();
  wanted.addEventListener('abort', onAbort, { once: true });
  return {
    signal: cut.signal,
    get cutBy() {
      return cutBy;
    },
    has(stream) {
      running = stream;
    },
    letGo() {
      wanted.removeEventListener('abort', onAbort);
      clearTimeout(overdue);
      clearTimeout(lastResort);
      running?.close();
    },
  };
}

/** A command may end without having read its input, which is no failure; any other comes to light at its end. */
function feed(stream: RunStream, input: Uint8Array | string): void {
  stream
    .write(typeof input === 'string' ? Buffer.from(input) : input)
    .then(() => stream.closeInput())
    .catch(() => {});
}

type Take = (stream: OutputStream, chunk: Buffer) => void;

async function lastOf(stream: RunStream, take: Take): Promise<RunExit> {
  for await (const event of stream) {
    if (event.kind === 'exit') return event.exit;
    take(event.stream === 'stderr' ? 'stderr' : 'stdout', event.data);
  }
  throw new MachineLost('The stream ended before the command.');
}

function endingOf(exit: RunExit, { cutBy }: Hold): Ending {
  if (cutBy === 'aborted') return { kind: 'aborted' };
  if (exit.timedOut) return { kind: 'timeout' };
  return { kind: 'exited', exitCode: exit.exitCode ?? SIGNAL_BASE + (exit.signal ?? 0) };
}

type Failure = Exclude<Ending, { kind: 'exited' }> | { kind: 'exited'; exitCode: number; remark: string };

/** What a command came to that did not tell its own end. A program that cannot be run is an outcome as in a shell. */
function failureOf(error: unknown, program: string, { cutBy }: Hold): Failure {
  if (cutBy) return { kind: cutBy };
  if (error instanceof MachineLost) return { kind: 'lost', reason: 'The machine is not running.' };
  if (!(error instanceof InitError)) throw error;
  if (error.errno === 'E2BIG') throw new AppError('invalid', 'command is too long', { cause: error });
  const exited = (exitCode: number, remark: string): Failure => ({ kind: 'exited', exitCode, remark });
  switch (error.where) {
    case 'user':
      throw new AppError('invalid', NO_SUCH_USER, { cause: error });
    case 'cwd':
      return exited(CANNOT_START, `The working directory cannot be entered (${error.errno}).`);
    case 'program':
      return error.errno === 'ENOENT'
        ? exited(NOT_FOUND, `${program}: not found`)
        : exited(CANNOT_START, `${program}: cannot be run (${error.errno})`);
    default:
      return exited(CANNOT_START, NO_ROOM);
  }
}

type Output = { take: Take; endedAs(ending: Ending): ExecOutcome };

/** Keeps what a command prints, up to the limit of each stream. */
function outputOf({ maxOutputBytes = DEFAULT_OUTPUT_BYTES, onOutput }: CommandRequest): Output {
  const elapsedMs = stopwatch();
  const kept = { stdout: collector(maxOutputBytes), stderr: collector(maxOutputBytes) };
  return {
    take(stream, chunk) {
      kept[stream].add(chunk);
      onOutput?.(stream, chunk);
    },
    endedAs: (ending) => ({
      ...ending,
      stdout: kept.stdout.bytes(),
      stderr: kept.stderr.bytes(),
      stdoutTruncated: kept.stdout.isTruncated(),
      stderrTruncated: kept.stderr.isTruncated(),
      durationMs: elapsedMs(),
    }),
  };
}

function collector(maxBytes: number) {
  const chunks: Buffer[] = [];
  let seen = 0;
  return {
    add(chunk: Buffer): void {
      if (seen < maxBytes) chunks.push(chunk.subarray(0, maxBytes - seen));
      seen += chunk.length;
    },
    bytes: (): Buffer => Buffer.concat(chunks),
    isTruncated: (): boolean => seen > maxBytes,
  };
}
