import type { Duplex } from 'node:stream';
import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { InitError } from './init/index.ts';
import { asked, reach, type Wording } from './reach.ts';
import type { MachinesWorld } from './world.ts';

const MAX_PORT = 65_535;

/**
 * A connection to what listens on a port of the machine, also where it listens on the machine's loopback only. It ends
 * when the op is not wanted any more. Throws `conflict` where nothing listens, of which `isRefused` is true, or where
 * the machine is not running.
 */
export async function dial(world: MachinesWorld, op: Op, id: MachineId, port: number): Promise<Duplex> {
  if (!Number.isInteger(port) || port < 1 || port > MAX_PORT)
    throw new AppError('invalid', `port must be from 1 to ${MAX_PORT}`);
  const { init } = await reach(world, op, id);
  return await asked(op, refusalOf(port), () => init.dial(port));
}

const refusalOf =
  (port: number): Wording =>
  (cause) =>
    new AppError('conflict', `Nothing listens on port ${port} of the machine.`, { cause });

/** Whether a machine that runs refused the connection, so that asking it again a moment later makes sense. */
export const isRefused = (error: unknown): boolean => error instanceof AppError && error.cause instanceof InitError;
