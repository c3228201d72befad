import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { HOUR } from '../../kernel/time.ts';
import { argvOf, checkTimeout, inImage, NO_SUCH_USER, surroundings, type Command } from './command.ts';
import type { InitError, RunOffsets, RunSelector, RunStream, TerminalSize } from './init/index.ts';
import { asked, reach, worded, type Wording } from './reach.ts';
import { checkSelector, checkTerminal, noSuchRun } from './runs.ts';
import type { MachinesWorld } from './world.ts';

/** A command that is begun and left to itself, or watched, as the caller likes. */
export type RunRequest = Command & {
  /** Whether it will be given input; else it reads an end of file at once. */
  stdin?: boolean | undefined;
  /** Runs on a terminal of this size; what it prints comes as the stream `pty`. */
  pty?: TerminalSize | undefined;
  /** A name to find it by, beside its number. */
  tag?: string | undefined;
  timeoutMs?: number | undefined;
  /** What becomes of it, and of all it started, when the stream is let go of: `keep` where it is not said. */
  onDisconnect?: 'kill' | 'keep' | undefined;
  /** How long after its end what it printed can still be joined. */
  keepMs?: number | undefined;
};

const MAX_KEEP_MS = HOUR;
const TERMINAL = 'xterm-256color';

/**
 * Starts a command and answers when it runs. Its stream ends when the op is not wanted any more. Throws `invalid` for
 * what cannot be run, `conflict` where the machine is not running or is full of processes.
 */
export async function run(world: MachinesWorld, op: Op, id: MachineId, request: RunRequest): Promise<RunStream> {
  const argv = argvOf(request);
  checkOptions(request);
  const reached = await reach(world, op, id);
  return await asked(op, startWording, async () => {
    const around = await surroundings(reached, await inImage(world, reached.machine, withTerminal(request)));
    const stream = await reached.init.start({
      ...around,
      argv,
      stdin: request.stdin ?? false,
      pty: request.pty,
      tag: request.tag,
      timeoutMs: request.timeoutMs,
      onDisconnect: request.onDisconnect ?? 'keep',
      keepMs: request.keepMs,
    });
    return wordedStream(op, stream);
  });
}

/**
 * Joins a command that runs, or has ended not long ago: what it printed after the given number of bytes of each
 * stream, as far as it is kept; where nothing is given, what it prints from now on. Throws `not_found`.
 */
export async function attach(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  selector: RunSelector,
  from?: RunOffsets,
): Promise<RunStream> {
  checkSelector(selector);
  if (from && !Object.values(from).every((offset) => Number.isSafeInteger(offset) && offset >= 0))
    throw new AppError('invalid', 'An offset is a number of bytes.');
  const { init } = await reach(world, op, id);
  return await asked(op, noSuchRun, async () => wordedStream(op, await init.attach(selector, from)));
}

function checkOptions({ pty, tag, timeoutMs, keepMs }: RunRequest): void {
  if (pty) checkTerminal(pty);
  if (tag !== undefined) checkSelector({ tag });
  if (timeoutMs !== undefined) checkTimeout(timeoutMs);
  if (keepMs !== undefined && !(keepMs >= 0 && keepMs <= MAX_KEEP_MS))
    throw new AppError('invalid', 'What a command printed is kept for an hour at most.');
}

const withTerminal = (request: RunRequest): Command =>
  request.pty ? { ...request, env: { TERM: TERMINAL, ...request.env } } : request;

/** What kept a command from being started, as a failure of the request. */
const startWording: Wording = (cause) => {
  const [code, text] = notStarted(cause);
  return new AppError(code, text, { cause });
};

function notStarted({ where, errno }: InitError): ['invalid' | 'conflict', string] {
  if (where === 'user') return ['invalid', NO_SUCH_USER];
  if (where === 'cwd') return ['invalid', 'The working directory does not exist or may not be entered.'];
  if (errno === 'EEXIST') return ['conflict', 'Another process that runs has this tag.'];
  if (errno === 'E2BIG') return ['invalid', 'command is too long'];
  if (where === 'program') return ['invalid', `The program ${errno === 'ENOENT' ? 'was not found' : 'cannot be run'}.`];
  return ['conflict', 'The machine has no room for another process.'];
}

/** The same stream, whose failures are the caller's to see. */
const wordedStream = (op: Op, stream: RunStream): RunStream => ({
  pid: stream.pid,
  write: (data) => asked(op, noSuchRun, () => stream.write(data)),
  closeInput: () => asked(op, noSuchRun, () => stream.closeInput()),
  close: () => stream.close(),
  async *[Symbol.asyncIterator]() {
    try {
      yield* stream;
    } catch (error) {
      throw worded(op, noSuchRun, error);
    }
  },
});
