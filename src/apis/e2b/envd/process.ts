import { z } from 'zod';
import { isPlatformRun, type RunInfo } from '../../../domains/machines/index.ts';
import { isAppError } from '../../../kernel/errors.ts';
import { within, type Visit } from './access.ts';
import { isGone, RpcFailure } from './failure.ts';
import { readMessage } from './protocol.ts';

/** process.Process, the calls that are answered at once (clause 3 of the sheet). */

/** A number of proto3 JSON, which may be written as text. */
const Uint = z.union([
  z.int().min(0),
  z
    .string()
    .regex(/^\d{1,10}$/)
    .transform(Number),
]);
const Selector = z.object({ pid: Uint.nullish(), tag: z.string().nullish() });
export const OfProcess = z.object({ process: Selector });
export const TerminalSize = z.object({ cols: Uint, rows: Uint });
const Input = z.object({ stdin: z.string().nullish(), pty: z.string().nullish() });

/** The two signals that envd's protocol knows, by the names and the numbers that clients write. */
const SIGNALS = new Map([
  ['SIGNAL_SIGKILL', 9],
  ['SIGNAL_SIGTERM', 15],
  ['9', 9],
  ['15', 15],
]);

export type ProcessSelector = { pid: number } | { tag: string };

export function selectorOf({ pid, tag }: z.output<typeof Selector>): ProcessSelector {
  if (tag) return { tag };
  if (pid) return { pid };
  throw new RpcFailure('invalid_argument', 'A process is selected by its pid or its tag');
}

export const list = (visit: Visit): Promise<unknown> =>
  within(visit, async () => {
    await readMessage(visit, z.object({}));
    const runs = await visit.machines.runs(visit.op, visit.sandbox.machineId);
    // Clients end whatever they find here, and none of them has started our sshd.
    return { processes: runs.filter((run) => !isPlatformRun(run)).map(presentProcess) };
  });

const presentProcess = ({ argv: [cmd = '', ...args], env, cwd, pid, tag }: RunInfo) => ({
  config: { cmd, args, envs: env, cwd },
  pid,
  ...(tag !== undefined && { tag }),
});

export const update = (visit: Visit): Promise<unknown> =>
  within(visit, async () => {
    const schema = OfProcess.extend({ pty: z.object({ size: TerminalSize }).nullish() });
    const { process, pty } = await readMessage(visit, schema);
    const selector = selectorOf(process);
    if (pty) await visit.machines.resizeRun(visit.op, visit.sandbox.machineId, selector, pty.size);
    return {};
  });

export const sendInput = (visit: Visit): Promise<unknown> =>
  within(visit, async () => {
    const { process, input } = await readMessage(visit, OfProcess.extend({ input: Input }));
    const selector = selectorOf(process);
    const run = await runOf(visit, selector);
    const ofOtherKind = run?.pty ? input.stdin : input.pty;
    if (run && typeof ofOtherKind === 'string')
      throw new RpcFailure('failed_precondition', `The process takes ${run.pty ? 'pty' : 'stdin'} input`);
    const data = Buffer.from(input.stdin ?? input.pty ?? '', 'base64');
    await visit.machines.inputRun(visit.op, visit.sandbox.machineId, selector, data);
    return {};
  });

/** A terminal has an end of input of its own; the sheet's `unknown` is for clients the same error as this. */
export const closeStdin = (visit: Visit): Promise<unknown> =>
  within(visit, async () => {
    const { machines, op, sandbox } = visit;
    const selector = selectorOf((await readMessage(visit, OfProcess)).process);
    const run = await runOf(visit, selector);
    if (run?.pty) throw new RpcFailure('failed_precondition', 'The input of a terminal is ended by Ctrl+D (0x04)');
    await machines.closeRunInput(op, sandbox.machineId, selector).catch(alreadyEnded);
    return {};
  });

const runOf = async ({ machines, op, sandbox }: Visit, selector: ProcessSelector): Promise<RunInfo | undefined> =>
  (await machines.runs(op, sandbox.machineId)).find((each) => isSelected(each, selector));

const isSelected = (run: RunInfo, selector: ProcessSelector): boolean =>
  'pid' in selector ? run.pid === selector.pid : run.tag === selector.tag;

/** What takes no input, or none any more, has nothing left to end. */
function alreadyEnded(error: unknown): void {
  if (!isAppError(error, 'conflict') || isGone(error)) throw error;
}

export const sendSignal = (visit: Visit): Promise<unknown> =>
  within(visit, async () => {
    const schema = OfProcess.extend({ signal: z.union([z.string(), z.int()]).nullish() });
    const { process, signal: name } = await readMessage(visit, schema);
    const signal = SIGNALS.get(String(name));
    if (signal === undefined) throw new RpcFailure('unimplemented', `invalid signal: ${String(name)}`);
    await visit.machines.signalRun(visit.op, visit.sandbox.machineId, selectorOf(process), signal);
    return {};
  });

export const streamInput = async (): Promise<unknown> => {
  throw new RpcFailure('unimplemented', 'StreamInput is not supported');
};

/** Whether a working directory is the reason why a process was not started. */
export async function isMissing(visit: Visit, user: string, path: string): Promise<boolean> {
  try {
    const { kind } = await visit.machines.stat(visit.op, visit.sandbox.machineId, path, { user, follow: true });
    return kind !== 'directory';
  } catch (error) {
    return isAppError(error, 'not_found');
  }
}
