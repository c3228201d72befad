import { AppError, isAppError } from '../../../kernel/errors.ts';
import type { Escrow } from '../escrow/escrow.ts';
import type { Escrows } from '../escrow/index.ts';
import type { GridTask } from '../escrow/task.ts';
import type { Reputation } from '../reputation/index.ts';
import type { NodeOp } from '../world.ts';

/** A task with its money, and the standing of who does it. */
export type Watched = { task: GridTask; escrow: Escrow | undefined; sellerCri: number };

type Watching = { escrows: Pick<Escrows, 'taskOf' | 'get'>; reputation: Pick<Reputation, 'rating'> };

/** A task of the caller's, which others do not even know of. Throws `not_found`. */
export async function watch({ escrows, reputation }: Watching, op: NodeOp, id: string): Promise<Watched> {
  try {
    const task = await escrows.taskOf(op, id);
    const escrow = task.escrowId ? await escrows.get(op, task.escrowId) : undefined;
    const { cri } = await reputation.rating(op, task.sellerId);
    return { task, escrow, sellerCri: cri.score };
  } catch (error) {
    if (isAppError(error, 'forbidden')) throw new AppError('not_found', 'Task not found', { cause: error });
    throw error;
  }
}
