import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { RunInfo, RunSelector, TerminalSize } from './init/index.ts';
import { ask, type Wording } from './reach.ts';
import { holding } from './whole.ts';
import type { MachinesWorld } from './world.ts';

const MAX_TERMINAL_SIDE = 10_000;
const MAX_PID = 2 ** 22;
const MAX_TAG_BYTES = 256;
const MAX_SIGNAL = 64;

/** With it begin the tags of what the platform runs in machines. */
export const PLATFORM_TAG = 'freehold-';
/** With it, those of what runs code and remembers what it did. */
export const CODE_TAG = `${PLATFORM_TAG}code:`;
/** Whether a run is the platform's, and not one that somebody started in the machine. */
export const isPlatformRun = ({ tag }: Pick<RunInfo, 'tag'>): boolean => tag?.startsWith(PLATFORM_TAG) === true;

/** Commands that were started and have not ended. Throws `rate_limited` where too much is held in memory. */
export const runs = (world: MachinesWorld, op: Op, id: MachineId): Promise<RunInfo[]> =>
  holding(id, (hold) => ask(world, op, id, noSuchRun, ({ init }) => init.runs(hold)));

/** Sends a signal to the command alone or, where it is not said, to all that it started too. */
export function signalRun(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  selector: RunSelector,
  signal: number,
  scope: 'process' | 'tree' = 'tree',
): Promise<void> {
  checkSelector(selector);
  if (!Number.isInteger(signal) || signal < 1 || signal > MAX_SIGNAL)
    throw new AppError('invalid', 'There is no such signal.');
  return ask(world, op, id, noSuchRun, ({ init }) => init.signal(selector, signal, scope));
}

export function inputRun(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  selector: RunSelector,
  data: Uint8Array,
): Promise<void> {
  checkSelector(selector);
  return ask(world, op, id, noSuchRun, ({ init }) => init.input(selector, data));
}

export function closeRunInput(world: MachinesWorld, op: Op, id: MachineId, selector: RunSelector): Promise<void> {
  checkSelector(selector);
  return ask(world, op, id, noSuchRun, ({ init }) => init.closeInput(selector));
}

export function resizeRun(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  selector: RunSelector,
  size: TerminalSize,
): Promise<void> {
  checkSelector(selector);
  checkTerminal(size);
  return ask(world, op, id, noSuchRun, ({ init }) => init.resize(selector, size));
}

export function checkSelector(selector: RunSelector): void {
  if ('tag' in selector) {
    const bytes = Buffer.byteLength(selector.tag);
    if (bytes === 0 || bytes > MAX_TAG_BYTES || selector.tag.includes('\0'))
      throw new AppError('invalid', `A tag has 1 to ${MAX_TAG_BYTES} bytes.`);
    return;
  }
  if (!Number.isInteger(selector.pid) || selector.pid < 1 || selector.pid > MAX_PID)
    throw new AppError('not_found', 'No such process');
}

export function checkTerminal({ cols, rows }: TerminalSize): void {
  const fits = (side: number) => Number.isInteger(side) && side >= 1 && side <= MAX_TERMINAL_SIDE;
  if (!fits(cols) || !fits(rows))
    throw new AppError('invalid', `A terminal has from 1 to ${MAX_TERMINAL_SIDE} columns and rows.`);
}

/** What a machine says of a command that was started before. */
export const noSuchRun: Wording = (cause) => {
  switch (cause.errno) {
    case 'ESRCH':
    case 'ENOENT':
      return new AppError('not_found', 'No such process', { cause });
    case 'EPIPE':
      return new AppError('conflict', 'The process takes no input.', { cause });
    case 'ENOTTY':
      return new AppError('conflict', 'The process has no terminal.', { cause });
    default:
      return new AppError('conflict', 'This cannot be done with the process.', { cause });
  }
};
