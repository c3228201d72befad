import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { REPOSITORY } from '../../bin/checks.ts';

/** None is left behind that has not ended by itself. */
const LONGEST_MS = 170_000;

export type Ended = { code: number | null; out: string; err: string };
export type Running = { child: ChildProcess; ended: Promise<Ended> };

/** The command line as a user starts it on a new Node.js, with nothing in its environment but what is given. */
export function start(args: string[], env: Record<string, string>, input = ''): Running {
  const child = spawn(process.execPath, [path.join(REPOSITORY, 'bin/freehold'), ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: LONGEST_MS,
    killSignal: 'SIGKILL',
  });
  child.stdin.end(input);
  const closed = once(child, 'close');
  const ended = Promise.all([closed, text(child.stdout), text(child.stderr)]).then(([[code], out, err]) => ({
    code: code as number | null,
    out,
    err,
  }));
  return { child, ended };
}
