import { AppError, isAppError } from '../../../kernel/errors.ts';
import type { Tck } from '../../../kernel/money.ts';
import { wallet } from '../../ledger/index.ts';
import type { Escrow } from '../escrow/escrow.ts';
import type { Escrows } from '../escrow/index.ts';
import type { GridTask } from '../escrow/task.ts';
import type { Reputation } from '../reputation/index.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { hire, type HireWish } from './hire.ts';
import { send, type SendWish } from './send.ts';
import { discover, waitingFor, type Discovery } from './store.ts';

/** A task with its money, and the standing of who does it. */
export type Watched = { task: GridTask; escrow: Escrow | undefined; sellerCri: number };
export type Purse = { balance: Tck; cri: number; pendingEscrows: number; openTasks: number };

/** Other ways onto the grid: hiring by the name of a capability, and agents that speak A2A. */
export function createBridge(gridWorld: GridWorld, escrow: Escrows, reputation: Reputation) {
  const world = { ...gridWorld, reputation };
  const { db, ledger } = world;
  return {
    hire: (op: NodeOp, wish: HireWish) => hire(world, escrow, op, wish),
    send: (op: NodeOp, wish: SendWish) => send(world, escrow, op, wish),
    /** A task of the caller's, which others do not even know of. Throws `not_found`. */
    watch: (op: NodeOp, id: string) => watch(world, escrow, op, id),
    discover: (discovery: Discovery) => discover(db, discovery),
    purse: async (op: NodeOp): Promise<Purse> => {
      const { node } = op;
      const { available } = await ledger.balance(db, wallet(node.accountId, 'TCK'));
      const { cri } = await reputation.rate(op, node);
      return { balance: available, cri: cri.score, ...(await waitingFor(db, node.id)) };
    },
  };
}

type Watching = { reputation: Pick<Reputation, 'rating'> };

async function watch({ reputation }: Watching, escrows: Escrows, op: NodeOp, id: string): Promise<Watched> {
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
