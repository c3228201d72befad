import type { Duplex } from 'node:stream';
import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { MINUTE } from '../../kernel/time.ts';
import type { MachineDriver } from './drivers/driver.ts';
import { createInit, InitError, MachineLost, type Init } from './init/index.ts';
import type { Machine } from './machine.ts';
import { visibleTo } from './policy.ts';
import { findMachine } from './store.ts';
import type { MachinesWorld } from './world.ts';

/** A running machine that the caller may use, and what answers for it from inside. */
export type Reached = { machine: Pick<Machine, 'id' | 'image'>; init: Init };

/** What asks something short of a machine waits no longer than this: it may have been paused in this moment. */
export const ANSWER_TIMEOUT_MS = MINUTE;

/** Throws `not_found` where it is not the caller's, `conflict` where it does not run. Asks nothing of it yet. */
export async function reach(world: MachinesWorld, op: Op, id: MachineId, signal = op.signal): Promise<Reached> {
  const machine = visibleTo(op, await findMachine(world.db, id));
  if (machine.state === 'paused') throw new AppError('conflict', 'The machine is paused.');
  if (machine.state !== 'running') throw notRunning();
  return { machine, init: initOf(world.driver, id, signal) };
}

/** A machine's init. The signal cuts whatever is asked of it, also long after the answer has begun. */
export const initOf = (driver: MachineDriver, id: MachineId, signal: AbortSignal): Init =>
  createInit(() => connectionTo(driver, id, signal));

async function connectionTo(driver: MachineDriver, id: MachineId, signal: AbortSignal): Promise<Duplex> {
  signal.throwIfAborted();
  const connection = await driver.connect(id);
  const cut = () => void connection.destroy();
  signal.addEventListener('abort', cut, { once: true });
  connection.once('close', () => signal.removeEventListener('abort', cut));
  if (signal.aborted) cut();
  return connection;
}

/** How to tell the caller what the machine's kernel said. */
export type Wording = (error: InitError) => AppError;

/** Does what is asked of a machine, and words what goes wrong. */
export async function asked<Result>(op: Op, wording: Wording, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw worded(op, wording, error);
  }
}

/** As `reach` and `asked` for what is answered at once. */
export async function ask<Result>(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  wording: Wording,
  work: (reached: Reached) => Promise<Result>,
): Promise<Result> {
  const limit = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
  const reached = await reach(world, op, id, AbortSignal.any([op.signal, limit]));
  return await asked(op, wording, () => work(reached)).catch((error: unknown) => {
    if (limit.aborted && !op.signal.aborted)
      throw new AppError('conflict', 'The machine did not answer in time.', { cause: error });
    throw error;
  });
}

export function worded(op: Op, wording: Wording, error: unknown): Error {
  if (op.signal.aborted && op.signal.reason instanceof Error) return op.signal.reason;
  if (error instanceof MachineLost) return notRunning(error);
  if (error instanceof InitError) return wording(error);
  return error instanceof Error ? error : new Error(String(error));
}

const notRunning = (cause?: unknown): AppError => new AppError('conflict', 'The machine is not running.', { cause });
