import { z } from 'zod';
import type { RunEvent, RunExit, RunStream } from '../../../domains/machines/index.ts';
import type { Sandbox } from '../../../domains/sandboxes/index.ts';
import { isAppError } from '../../../kernel/errors.ts';
import { DAY, SECOND } from '../../../kernel/time.ts';
import type { RawAnswer } from '../../contract.ts';
import { within, type Visit } from './access.ts';
import { RpcFailure } from './failure.ts';
import { absolutePath, rpcUser } from './path.ts';
import { isMissing, OfProcess, selectorOf, TerminalSize } from './process.ts';
import { readFramed, timeoutMs } from './protocol.ts';
import { streamed, type Source } from './stream.ts';

/** process.Process, the calls that are answered by streams (clause 3 of the sheet). */

const KEEPALIVE = { event: { keepalive: {} } };
/** What a process printed can be joined for so long after its end. */
const KEEP_MS = 30 * SECOND;

const NewProcess = z.object({
  process: z.object({
    cmd: z.string().min(1),
    args: z.array(z.string()).nullish(),
    envs: z.record(z.string(), z.string()).nullish(),
    cwd: z.string().nullish(),
  }),
  pty: z.object({ size: TerminalSize }).nullish(),
  tag: z.string().nullish(),
  stdin: z.boolean().nullish(),
});
type NewProcess = z.output<typeof NewProcess>;

/** Starts a process, which its caller may let go of and which lives on then. */
export const start = (visit: Visit): Promise<RawAnswer> =>
  streamed(visit, { keepalive: KEEPALIVE, timeoutMs: undefined }, () =>
    within(visit, async () => sourceOf(await begin(visit, await readFramed(visit, NewProcess)))),
  );

/** Joins a process: what it prints from now on, and how it ends. */
export const connect = (visit: Visit): Promise<RawAnswer> =>
  streamed(visit, { keepalive: KEEPALIVE, timeoutMs: timeoutMs(visit.request) }, () =>
    within(visit, async () => {
      const { process } = await readFramed(visit, OfProcess);
      return sourceOf(await visit.machines.attach(visit.op, visit.sandbox.machineId, selectorOf(process)));
    }),
  );

async function begin(visit: Visit, { process, pty, tag, stdin }: NewProcess): Promise<RunStream> {
  const { machines, op, sandbox } = visit;
  const user = await rpcUser(visit);
  const cwd = process.cwd ? await absolutePath(visit, user, process.cwd) : undefined;
  const limit = timeoutMs(visit.request);
  try {
    return await machines.run(op, sandbox.machineId, {
      command: [process.cmd, ...(process.args ?? [])],
      cwd,
      env: { ...environment(sandbox), ...process.envs },
      user,
      stdin: stdin ?? true,
      pty: pty?.size,
      tag: tag || undefined,
      // The machine itself keeps the time, so that it holds whatever becomes of us.
      timeoutMs: limit && Math.min(limit, DAY),
      onDisconnect: 'keep',
      keepMs: KEEP_MS,
    });
  } catch (error) {
    if (isAppError(error, 'invalid') && cwd !== undefined && (await isMissing(visit, user, cwd)))
      throw new RpcFailure('invalid_argument', `cwd '${cwd}' does not exist`, { cause: error });
    throw error;
  }
}

/** What every process of a sandbox finds in its environment. */
export const environment = ({ env, code, template }: Sandbox): Record<string, string> => ({
  E2B_SANDBOX: 'true',
  E2B_SANDBOX_ID: code,
  E2B_TEMPLATE_ID: template,
  ...env,
});

const sourceOf = (run: RunStream): Source => ({ messages: messagesOf(run), close: () => run.close() });

async function* messagesOf(run: RunStream): AsyncIterable<unknown> {
  yield { event: { start: { pid: run.pid } } };
  for await (const event of run) {
    if (event.kind === 'exit' && event.exit.timedOut)
      throw new RpcFailure('deadline_exceeded', 'context deadline exceeded');
    yield { event: presentEvent(event) };
  }
}

const presentEvent = (event: RunEvent) =>
  event.kind === 'exit'
    ? { end: presentExit(event.exit) }
    : { data: { [event.stream]: event.data.toString('base64') } };

/** The kernel's names of signals as the reference daemon words them. */
const SIGNAL_TEXT: Record<number, string> = {
  1: 'hangup',
  2: 'interrupt',
  3: 'quit',
  4: 'illegal instruction',
  5: 'trace/breakpoint trap',
  6: 'aborted',
  7: 'bus error',
  8: 'floating point exception',
  9: 'killed',
  10: 'user defined signal 1',
  11: 'segmentation fault',
  12: 'user defined signal 2',
  13: 'broken pipe',
  14: 'alarm clock',
  15: 'terminated',
  24: 'CPU time limit exceeded',
  25: 'file size limit exceeded',
};

export function presentExit({ exitCode, signal }: RunExit) {
  if (exitCode === undefined) {
    const status = `signal: ${SIGNAL_TEXT[signal ?? 0] ?? `signal ${signal}`}`;
    return { exitCode: -1, exited: false, status, error: status };
  }
  const status = `exit status ${exitCode}`;
  return { exitCode, exited: true, status, ...(exitCode !== 0 && { error: status }) };
}
