import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { CommandFailed, SYSTEM_PATH, type Command } from './run.ts';

/**
 * Runs commands from a small process of ours (`machine-init/spawner.h` says how to talk to it). To fork this server
 * itself takes the kernel milliseconds, in which nobody is served; a machine needs three commands to begin.
 */
export type Spawner = {
  /** Runs a command that must succeed. Throws `CommandFailed`, also where `signal` ended it or we are closed. */
  must(command: Command, options: { signal: AbortSignal }): Promise<void>;
  /** Ends what still runs. */
  close(): void;
};

type Ended = { exitCode: number; said: Buffer };
type Waiting = { command: Command; resolve: (ended: Ended) => void; reject: (error: Error) => void };
/** What was started, who waits for what of it, and which commands it has not been told of yet. */
type Running = { channel: Socket; waiting: Map<number, Waiting>; untold: Map<number, Command> };

const CHANNEL = 3;
const NUMBER_BYTES = 4;
const HEAD_BYTES = 2 * NUMBER_BYTES;
const MAX_NUMBER = 2 ** 32 - 1;
/** As many as it runs at a time; it refuses more. */
const AT_ONCE = 256;
const NOTHING = Buffer.alloc(0);
/** As one that is killed at once. */
const NEVER_BEGUN: Ended = { exitCode: 128 + 9, said: NOTHING };

/** Nothing is started before the first command; where the process dies, the next command has another. */
export function openSpawner(program: string): Spawner {
  let running: Running | undefined;
  let last = 0;
  const start = (): Running => {
    // Of one that has died we may not have been told yet.
    if (running?.channel.destroyed) running = undefined;
    running ??= startIt(program, (gone) => {
      if (running === gone) running = undefined;
    });
    return running;
  };
  return {
    must: async (command, { signal }) => {
      signal.throwIfAborted();
      const current = start();
      const { channel, waiting, untold } = current;
      last = last === MAX_NUMBER ? 1 : last + 1;
      const number = last;
      const ended = new Promise<Ended>((resolve, reject) => waiting.set(number, { command, resolve, reject }));
      const kill = () => {
        if (untold.delete(number)) settle(current, number, NEVER_BEGUN);
        else channel.write(request(number, []));
      };
      signal.addEventListener('abort', kill, { once: true });
      channel.ref();
      untold.set(number, command);
      tell(current);
      try {
        const { exitCode, said } = await ended;
        if (exitCode !== 0) throw failed(command, signal.aborted ? 'aborted' : exitCode, said);
      } finally {
        signal.removeEventListener('abort', kill);
        if (waiting.size === 0 && !channel.destroyed) channel.unref();
      }
    },
    close: () => {
      running?.channel.destroy();
      running = undefined;
    },
  };
}

function startIt(program: string, gone: (running: Running) => void): Running {
  const child = spawn(program, ['spawn'], {
    env: { PATH: SYSTEM_PATH, LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    // What ends us from a terminal must leave us time to clean up with it.
    detached: true,
  });
  const channel = child.stdio[CHANNEL] as Socket;
  const waiting: Running['waiting'] = new Map();
  const untold: Running['untold'] = new Map();
  const running = { channel, waiting, untold };
  const end = () => {
    gone(running);
    for (const { command, reject } of waiting.values())
      reject(failed(command, 'aborted', Buffer.from('what runs our commands has ended')));
    waiting.clear();
    untold.clear();
  };
  child.on('error', end);
  channel.on('error', () => {});
  channel.on('close', end);
  read(channel, (number, ended) => settle(running, number, ended));
  child.unref();
  return running;
}

/** Tells it of as many as it takes, so that it always hears at once of what is to be ended. */
function tell({ channel, waiting, untold }: Running): void {
  for (const [number, command] of untold) {
    if (waiting.size - untold.size >= AT_ONCE) return;
    untold.delete(number);
    channel.write(request(number, command));
  }
}

function settle(running: Running, number: number, ended: Ended): void {
  running.waiting.get(number)?.resolve(ended);
  running.waiting.delete(number);
  tell(running);
}

function request(number: number, command: Command): Buffer {
  const strings = Buffer.from(command.map((each) => `${each}\0`).join(''));
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(NUMBER_BYTES + strings.length);
  head.writeUInt32BE(number, NUMBER_BYTES);
  return Buffer.concat([head, strings]);
}

/** Calls for each answer: its length, the number, the exit code, and what was said. */
function read(channel: Socket, take: (number: number, ended: Ended) => void): void {
  let got = NOTHING;
  channel.on('data', (chunk: Buffer) => {
    got = Buffer.concat([got, chunk]);
    while (got.length >= NUMBER_BYTES && got.length >= NUMBER_BYTES + got.readUInt32BE()) {
      const end = NUMBER_BYTES + got.readUInt32BE();
      const exitCode = got.readUInt32BE(HEAD_BYTES);
      take(got.readUInt32BE(NUMBER_BYTES), { exitCode, said: got.subarray(HEAD_BYTES + NUMBER_BYTES, end) });
      got = got.subarray(end);
    }
  });
}

const failed = (command: Command, how: number | 'aborted', said: Buffer): CommandFailed =>
  new CommandFailed(command, {
    ...(how === 'aborted' ? { kind: how } : { kind: 'exited', exitCode: how }),
    stdout: NOTHING,
    stderr: said,
    stdoutTruncated: false,
    stderrTruncated: false,
    durationMs: 0,
  });
