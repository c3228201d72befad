import type { Tck } from '../../../kernel/money.ts';
import type { Db } from '../../../platform/db.ts';
import type { Fact } from '../../../platform/outbox.ts';
import { wallet } from '../../ledger/index.ts';
import type { Escrows } from '../escrow/index.ts';
import type { Reputation } from '../reputation/index.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { callbackFor } from './callback.ts';
import { hire, type HireWish } from './hire.ts';
import { send, type SendWish } from './send.ts';
import { discover, waitingFor, type Discovery } from './store.ts';
import { watch } from './watch.ts';

export type Purse = { balance: Tck; cri: number; pendingEscrows: number; openTasks: number };

/** Other ways onto the grid: hiring by the name of a capability, and agents that speak A2A. */
export function createBridge(world: GridWorld, escrows: Escrows, reputation: Reputation) {
  const { db, ledger } = world;
  return {
    hire: (op: NodeOp, wish: HireWish) => hire(world, escrows, op, wish),
    send: (op: NodeOp, wish: SendWish) => send(world, escrows, op, wish),
    watch: (op: NodeOp, id: string) => watch({ escrows, reputation }, op, id),
    /** Whom a fact concerns who asked to be told at an address of theirs. */
    callback: (reader: Db, fact: Pick<Fact, 'type' | 'subject'>) => callbackFor(reader, fact),
    discover: (discovery: Discovery) => discover(db, discovery),
    purse: async (op: NodeOp): Promise<Purse> => {
      const { available } = await ledger.balance(db, wallet(op.node.accountId, 'TCK'));
      const { cri } = await reputation.rate(op, op.node);
      return { balance: available, cri: cri.score, ...(await waitingFor(db, op.node.id)) };
    },
  };
}
