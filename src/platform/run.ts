import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** A program and its arguments; nothing is ever put through a shell. */
export type Command = readonly string[];
export type OutputStream = 'stdout' | 'stderr';

export type RunOptions = {
  stdin?: Uint8Array | string | undefined;
  cwd?: string | undefined;
  /** The whole environment of the command; nothing of this process's own is passed on. */
  env?: Record<string, string>;
  timeoutMs?: number;
  /** Bytes kept of each stream; what comes after is read and dropped. */
  maxOutputBytes?: number;
  signal?: AbortSignal | undefined;
  /** Sees every chunk, also those past `maxOutputBytes`. */
  onOutput?: ((stream: OutputStream, chunk: Buffer) => void) | undefined;
  /** The kernel kills the command when this process dies, however it dies. */
  dieWithParent?: boolean;
};

type Captured = {
  stdout: Buffer;
  stderr: Buffer;
  stdoutTruncated: boolean;
  stderrTruncated: boolean;
  durationMs: number;
};

/** How a command ended. A command that a signal ended has exit code 128 + signal, as in a shell. */
export type RunResult = Captured & ({ kind: 'exited'; exitCode: number } | { kind: 'timeout' } | { kind: 'aborted' });

export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_MAX_OUTPUT_BYTES = 1_000_000;
/** How long output that still arrives after the exit is read; a background process may keep a pipe open for ever. */
const DRAIN_MS = 200;
/** Turns of the event loop without output after which the pipes hold nothing that was written before the exit. */
const QUIET_TURNS = 3;
const ERROR_TAIL_CHARACTERS = 2_000;

const PROXY_SETTINGS = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];

/** What a command that downloads needs to know of this host's way out. */
export const proxyEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    PROXY_SETTINGS.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );

/** A command of ours that had to succeed and did not. */
export class CommandFailed extends Error {
  readonly result: RunResult;

  constructor(command: Command, result: RunResult) {
    const how = result.kind === 'exited' ? `exit code ${result.exitCode}` : result.kind;
    super(`${command.join(' ').slice(0, ERROR_TAIL_CHARACTERS)}: ${how}: ${errorTail(result)}`);
    this.name = 'CommandFailed';
    this.result = result;
  }
}

/** Runs a command that must succeed and returns what it printed. Throws `CommandFailed`. */
export async function must(command: Command, options: RunOptions = {}): Promise<string> {
  const result = await run(command, options);
  if (result.kind !== 'exited' || result.exitCode !== 0) throw new CommandFailed(command, result);
  return result.stdout.toString();
}

/** Runs a command to its end. Throws only if it cannot be started. */
export async function run(command: Command, options: RunOptions = {}): Promise<RunResult> {
  const startedAt = performance.now();
  const output = capture(options);
  const outcome = await execute(command, options, output);
  return { ...outcome, ...output.result(), durationMs: Math.round(performance.now() - startedAt) };
}

/**
 * Runs a command whose output, or whose input, is too long to be kept: what it prints is read as slowly as the caller
 * reads it. The stream fails with `CommandFailed` where the command does, so that nobody takes half of it for the whole.
 */
export async function* outputOf(command: Command, options: StreamedOptions): AsyncGenerator<Buffer> {
  const running = start(command, { dieWithParent: true });
  const ended = outcomeOf(running);
  const stop = () => killGroup(running);
  options.signal.addEventListener('abort', stop, { once: true });
  if (options.signal.aborted) stop();
  try {
    for await (const chunk of running.stdout) yield chunk as Buffer;
    const result = await ended;
    options.signal.throwIfAborted();
    if (result.exitCode !== 0) throw new CommandFailed(command, result);
  } finally {
    options.signal.removeEventListener('abort', stop);
    stop();
  }
}

/**
 * Runs a command that must succeed with a long input, and must have taken all of it: what an input throws at its very end,
 * when it has been found wrong, counts too. Throws what the input throws, else `CommandFailed`.
 */
export async function mustTake(
  command: Command,
  input: AsyncIterable<Uint8Array>,
  options: StreamedOptions,
): Promise<void> {
  const running = start(command, { dieWithParent: true, keepsStdinOpen: true });
  running.stdout.resume();
  const ended = outcomeOf(running);
  const stop = () => killGroup(running);
  let isRead = false;
  async function* toItsEnd() {
    yield* input;
    isRead = true;
  }
  options.signal.addEventListener('abort', stop, { once: true });
  if (options.signal.aborted) stop();
  try {
    await pipeline(toItsEnd(), running.stdin).catch(async (error: unknown) => {
      // A command that ends before its input does tells why by itself.
      if (!isBrokenPipe(error)) throw error;
    });
    const result = await ended;
    options.signal.throwIfAborted();
    if (result.exitCode !== 0) throw new CommandFailed(command, result);
    if (!isRead) throw new Error(`${command[0]} did not take its input to the end.`);
  } finally {
    options.signal.removeEventListener('abort', stop);
    stop();
  }
}

export type StreamedOptions = { signal: AbortSignal };

/** How a command ended whose output another reads, with what it said of its troubles. */
function outcomeOf({ child, stderr }: Running): Promise<RunResult & { kind: 'exited' }> {
  const startedAt = performance.now();
  const said = keeper(DEFAULT_MAX_OUTPUT_BYTES);
  stderr.on('data', (chunk: Buffer) => said.add(chunk));
  const ended = new Promise<RunResult & { kind: 'exited' }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({
        kind: 'exited',
        exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]),
        stdout: Buffer.alloc(0),
        stderr: said.bytes(),
        stdoutTruncated: false,
        stderrTruncated: said.truncated(),
        durationMs: Math.round(performance.now() - startedAt),
      }),
    );
  });
  // Whoever reads the output meets the failure of a program that is not there; until then it is nobody's.
  ended.catch(() => {});
  return ended;
}

const isBrokenPipe = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && ['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(String(error.code));

type Outcome = { kind: 'exited'; exitCode: number } | { kind: 'timeout' } | { kind: 'aborted' };

async function execute(command: Command, options: RunOptions, output: Output): Promise<Outcome> {
  const running = start(command, options);
  const ended = Promise.withResolvers<Outcome>();
  let cut: 'timeout' | 'aborted' | undefined;
  const stop = (why: 'timeout' | 'aborted') => {
    if (cut !== undefined) return;
    cut = why;
    killGroup(running);
  };
  const timer = setTimeout(() => stop('timeout'), options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const onAbort = () => stop('aborted');
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted) stop('aborted');

  running.child.on('error', ended.reject);
  running.child.on('exit', (code, signal) => {
    const exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
    output.drained().then(() => ended.resolve({ kind: 'exited', exitCode }), ended.reject);
  });
  output.follow(running, (error) => {
    killGroup(running);
    ended.reject(error);
  });
  try {
    const outcome = await ended.promise;
    return cut === undefined ? outcome : { kind: cut };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
    killGroup(running);
    for (const stream of [running.stdin, running.stdout, running.stderr]) stream.destroy();
  }
}

type Running = { child: ChildProcess; stdin: Writable; stdout: Readable; stderr: Readable };

function start(command: Command, options: RunOptions & { keepsStdinOpen?: boolean }): Running {
  const [program, ...args] = options.dieWithParent ? ['setpriv', '--pdeathsig', 'KILL', '--', ...command] : command;
  if (program === undefined) throw new Error('An empty command cannot be run.');
  // A container runtime gives its standard streams to the machine's root, who must not become the owner of the host's
  // /dev/null: there is a pipe at each. A process group of its own, so that ending it ends its children too.
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { PATH: SYSTEM_PATH, LC_ALL: 'C.UTF-8', ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const { stdin, stdout, stderr } = child;
  // A command may end without reading its input; its exit code tells the story, the broken pipe adds nothing.
  stdin.on('error', () => {});
  if (options.keepsStdinOpen) return { child, stdin, stdout, stderr };
  if (options.stdin === undefined) stdin.end();
  else stdin.end(options.stdin);
  return { child, stdin, stdout, stderr };
}

function killGroup({ child }: Running): void {
  if (child.pid === undefined || hasEnded(child)) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

type Output = ReturnType<typeof capture>;

/** Keeps the first bytes of both streams and hands every chunk on. */
function capture(options: RunOptions) {
  const limit = options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
  const kept = { stdout: keeper(limit), stderr: keeper(limit) };
  let open = 2;
  const seen = () => kept.stdout.seen() + kept.stderr.seen();
  return {
    /** After the exit: resolves when what was written before it has been read, or more has come for long enough. */
    async drained(): Promise<void> {
      const until = performance.now() + DRAIN_MS;
      for (
        let quiet = 0, before = seen();
        quiet < QUIET_TURNS && open > 0 && performance.now() < until;
        before = seen()
      ) {
        await nextTurn();
        quiet = seen() === before ? quiet + 1 : 0;
      }
    },
    follow(running: Running, fail: (error: unknown) => void) {
      for (const stream of ['stdout', 'stderr'] as const) {
        running[stream].resume().on('close', () => (open -= 1));
        running[stream].on('data', (chunk: Buffer) => {
          kept[stream].add(chunk);
          try {
            options.onOutput?.(stream, chunk);
          } catch (error) {
            fail(error);
          }
        });
      }
    },
    result: () => ({
      stdout: kept.stdout.bytes(),
      stderr: kept.stderr.bytes(),
      stdoutTruncated: kept.stdout.truncated(),
      stderrTruncated: kept.stderr.truncated(),
    }),
  };
}

function keeper(limit: number) {
  const chunks: Buffer[] = [];
  let seen = 0;
  return {
    add(chunk: Buffer) {
      if (seen < limit) chunks.push(chunk.subarray(0, limit - seen));
      seen += chunk.length;
    },
    seen: () => seen,
    bytes: () => Buffer.concat(chunks),
    truncated: () => seen > limit,
  };
}

const errorTail = (result: RunResult): string =>
  (result.stderr.length > 0 ? result.stderr : result.stdout).toString().trim().slice(-ERROR_TAIL_CHARACTERS);
