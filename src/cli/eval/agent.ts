import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { elapsedMs, SECOND } from '../../kernel/time.ts';
import { Failure } from '../failure.ts';
import type { Environment } from '../settings.ts';
import type { AgentEnd } from './record.ts';
import { isLost, type Remote } from './remote.ts';

/** An agent that is told to end has so long to do it. */
const GRACE_MS = 5 * SECOND;
const LOG = 'agent.log';
const EXIT_TIMED_OUT = 124;

/**
 * Runs the agent as the first of a process group, and ends the group when this program is gone: its end closes the pipe
 * that the watcher reads, so that no agent works on unseen.
 */
const WATCHED = `
exec 3<&0 < /dev/null
( read -r _ <&3; kill -s KILL -- -$$ ) > /dev/null 2>&1 &
exec 3<&-
exec /bin/sh -c "$1"
`;

export type AgentOrder = {
  command: string;
  /** Where the agent begins, and its output is kept. */
  dir: string;
  environment: Environment;
  timeoutMs: number;
  now(): Date;
  /** Ends the agent; its end is told as any other. */
  signal: AbortSignal;
};

/** Runs an agent's command on this computer. Its output goes to a file; what it leaves running is ended with it. */
export async function runAgent({ command, dir, environment, timeoutMs, now, signal }: AgentOrder): Promise<AgentEnd> {
  const begun = now();
  const log = await open(join(dir, LOG), 'a');
  try {
    const child = spawn('/bin/sh', ['-c', WATCHED, 'sh', command], {
      cwd: dir,
      env: environment,
      detached: true,
      stdio: ['pipe', log.fd, log.fd],
    });
    const exited = once(child, 'exit') as Promise<[number | null]>;
    const limit = AbortSignal.timeout(timeoutMs);
    const end = (): void => void stop(child, exited);
    const stopped = AbortSignal.any([limit, signal]);
    stopped.addEventListener('abort', end, { once: true });
    if (stopped.aborted) end();
    const [code] = await exited;
    stopped.removeEventListener('abort', end);
    signalGroup(child, 'SIGKILL');
    return { exit_code: code, timed_out: limit.aborted, seconds: elapsedMs(begun, now()) / SECOND };
  } finally {
    await log.close();
  }
}

async function stop(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  signalGroup(child, 'SIGTERM');
  await Promise.race([exited, sleep(GRACE_MS, undefined, { ref: false })]);
  if (child.exitCode === null && child.signalCode === null) signalGroup(child, 'SIGKILL');
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // There is nobody left in it.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

export type InsideOrder = Pick<AgentOrder, 'command' | 'dir' | 'timeoutMs' | 'now' | 'signal'> & {
  remote: Remote;
  sessionId: string;
  problem: string;
  /** Names the command, so that it is begun once. */
  name: string;
};

/** Runs an agent's command inside the session, where the problem lies in a file beside it. */
export async function runInside(order: InsideOrder): Promise<AgentEnd> {
  const { remote, sessionId, now } = order;
  const begun = now();
  const seconds = Math.ceil(order.timeoutMs / SECOND);
  const command = `FREEHOLD_PROBLEM_FILE="$(mktemp)"; export FREEHOLD_PROBLEM_FILE
printf %s ${Buffer.from(order.problem).toString('base64')} | base64 -d > "$FREEHOLD_PROBLEM_FILE"
${order.command}`;
  const { interaction_id: id } = await remote.exec(sessionId, { command, command_timeout: seconds }, order.name);
  const ended = await remote.finished(sessionId, id, order.signal);
  await appendFile(join(order.dir, LOG), ended.stdout + ended.stderr);
  if (isLost(ended)) throw new Failure(ended.message ?? 'The command in the session was lost');
  const took = elapsedMs(begun, now()) / SECOND;
  return { exit_code: ended.exit_code, timed_out: ended.exit_code === EXIT_TIMED_OUT, seconds: took };
}
