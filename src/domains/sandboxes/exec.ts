import { AppError, isAppError } from '../../kernel/errors.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { HOUR } from '../../kernel/time.ts';
import { stopwatch } from '../../platform/clock.ts';
import type { CommandRequest, ExecOutcome, RunExit, RunStream } from '../machines/index.ts';
import { shownOf } from './kept.ts';
import { ownSandbox } from './policy.ts';
import { awake } from './rest.ts';
import type { Sandbox } from './sandbox.ts';
import type { SandboxesWorld } from './world.ts';

const DEFAULT_OUTPUT_BYTES = 1_000_000;
const FROM_THE_BEGINNING = { stdout: 0, stderr: 0, pty: 0 };
/** How long after its end a command that was named can be asked for its end. */
const NAMED_KEPT_MS = HOUR;
/** As in a shell: what a signal ended has this and the signal's number as its exit code. */
const SIGNAL_BASE = 128;

/** The sandbox, ready to work: woken where it may be. Throws `conflict` where it stays paused. */
export async function working(world: SandboxesWorld, op: Op, reference: string): Promise<Sandbox> {
  const sandbox = await awake(world, shownOf(await ownSandbox(world.db, op, reference)));
  if (sandbox.state === 'destroyed') throw new AppError('not_found', 'Sandbox not found');
  if (sandbox.state === 'paused') throw new AppError('conflict', 'The sandbox is paused.');
  return sandbox;
}

/**
 * Runs a command with the sandbox's own variables, to its end. One that its caller has named is run once: asked for
 * again, also while it runs or after we were killed, it is joined. It runs on when its caller goes; any other is
 * killed then.
 */
export async function exec(
  world: SandboxesWorld,
  op: Op,
  reference: string,
  request: CommandRequest,
): Promise<ExecOutcome> {
  const sandbox = await working(world, op, reference);
  const command = { ...request, env: { ...sandbox.env, ...request.env } };
  return op.seed ? runOnce(world, op, sandbox, command) : world.machines.exec(op, sandbox.machineId, command);
}

async function runOnce(
  world: SandboxesWorld,
  op: Op,
  { id, machineId }: Sandbox,
  request: CommandRequest,
): Promise<ExecOutcome> {
  const elapsed = stopwatch();
  const tag = newId(op, 'request', `exec ${id}`);
  const join = () => world.machines.attach(op, machineId, { tag }, FROM_THE_BEGINNING);
  const run =
    (await join().catch(unless('not_found'))) ?? (await begin(world, op, machineId, request, tag)) ?? (await join());
  const [stdout, stderr] = [collector(request.maxOutputBytes), collector(request.maxOutputBytes)];
  try {
    const exit = await lastOf(run, (stream, chunk, offset) =>
      (stream === 'stderr' ? stderr : stdout).add(chunk, offset),
    );
    const output = {
      stdout: stdout.bytes(),
      stderr: stderr.bytes(),
      stdoutTruncated: stdout.isTruncated(),
      stderrTruncated: stderr.isTruncated(),
      durationMs: elapsed(),
    };
    if (exit.timedOut) return { ...output, kind: 'timeout' };
    return { ...output, kind: 'exited', exitCode: exit.exitCode ?? SIGNAL_BASE + (exit.signal ?? 0) };
  } finally {
    run.close();
  }
}

/** Undefined where somebody else has just begun it. */
async function begin(
  { machines }: SandboxesWorld,
  op: Op,
  machineId: Sandbox['machineId'],
  { stdin, command, cwd, env, user, timeoutMs }: CommandRequest,
  tag: string,
): Promise<RunStream | undefined> {
  const asked = { command, cwd, env, user, timeoutMs, tag, stdin: stdin !== undefined, keepMs: NAMED_KEPT_MS };
  const run = await machines.run(op, machineId, { ...asked, onDisconnect: 'keep' }).catch(unless('conflict'));
  if (!run || stdin === undefined) return run;
  // It may end without having read its input, which is no failure; any other comes to light at its end.
  run
    .write(Buffer.from(stdin))
    .then(() => run.closeInput())
    .catch(() => {});
  return run;
}

const unless =
  (code: 'not_found' | 'conflict') =>
  (error: unknown): undefined => {
    if (!isAppError(error, code)) throw error;
  };

type Take = (stream: string, chunk: Buffer, offset: number) => void;

async function lastOf(run: RunStream, take: Take): Promise<RunExit> {
  for await (const event of run) {
    if (event.kind === 'exit') return event.exit;
    take(event.stream, event.data, event.offset);
  }
  throw new AppError('conflict', 'The machine is not running.');
}

/** Keeps so much of a stream. What was printed long ago may not be there any more when it is joined. */
function collector(maxBytes = DEFAULT_OUTPUT_BYTES) {
  const chunks: Buffer[] = [];
  let kept = 0;
  let missed = 0;
  let seen = 0;
  return {
    add(chunk: Buffer, offset: number): void {
      missed += Math.max(0, offset - seen);
      seen = offset + chunk.length;
      const fitting = chunk.subarray(0, Math.max(0, maxBytes - kept));
      kept += fitting.length;
      missed += chunk.length - fitting.length;
      chunks.push(fitting);
    },
    bytes: (): Buffer => Buffer.concat(chunks),
    isTruncated: (): boolean => missed > 0,
  };
}
