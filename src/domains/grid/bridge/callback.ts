import { parseId, type AccountId } from '../../../kernel/ids.ts';
import type { Db } from '../../../platform/db.ts';
import type { Fact } from '../../../platform/outbox.ts';
import { findEscrow } from '../escrow/store.ts';
import { findTask, findTaskOfEscrow } from '../escrow/task-store.ts';
import { findNode } from '../nodes/store.ts';
import type { Watched } from './watch.ts';

export type Callback = { accountId: AccountId; url: string; watched: Watched };

/** Facts by which a task moves on: those of the task itself, and those of its money. */
const OF_TASK = new Set(['grid.task.claimed', 'grid.task.completed']);
const OF_ESCROW = new Set(['escrow.settled', 'escrow.disputed', 'escrow.refunded']);

/** Whom a fact concerns who asked to be told at an address of theirs. */
export async function callbackFor(
  db: Db,
  { type, subject }: Pick<Fact, 'type' | 'subject'>,
): Promise<Callback | undefined> {
  const task = await taskOf(db, type, subject);
  if (!task?.callbackUrl) return undefined;
  const [buyer, seller] = await Promise.all([findNode(db, task.buyerId), findNode(db, task.sellerId)]);
  if (!buyer || !seller) return undefined;
  const escrow = task.escrowId ? await findEscrow(db, task.escrowId) : undefined;
  return { accountId: buyer.accountId, url: task.callbackUrl, watched: { task, escrow, sellerCri: seller.cri } };
}

function taskOf(db: Db, type: string, subject: string) {
  const taskId = OF_TASK.has(type) ? parseId('gridTask', subject) : undefined;
  const escrowId = OF_ESCROW.has(type) ? parseId('escrow', subject) : undefined;
  if (taskId) return findTask(db, taskId);
  return escrowId ? findTaskOfEscrow(db, escrowId) : undefined;
}
