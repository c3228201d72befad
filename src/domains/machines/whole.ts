import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import { createShares } from '../../kernel/shares.ts';

/** Bytes of files and lists that are whole in this process's memory at a time: of one machine, and of all. */
export const MAX_HELD = { each: 134_217_728, all: 402_653_184 };
const RETRY_SECONDS = 1;

const held = createShares<MachineId>(MAX_HELD);

/**
 * Does what holds bytes of a machine in memory until it has ended, and says how many with `hold`, which throws
 * `rate_limited` where that machine, or all of them, have too many there already.
 */
export async function holding<Result>(
  id: MachineId,
  work: (hold: (bytes: number) => void) => Promise<Result>,
): Promise<Result> {
  let bytes = 0;
  const hold = (more: number) => {
    if (!held.take(id, more))
      throw new AppError('rate_limited', 'Too much of this machine is being read at once', {
        retryAfterSeconds: RETRY_SECONDS,
      });
    bytes += more;
  };
  try {
    return await work(hold);
  } finally {
    held.give(id, bytes);
  }
}
