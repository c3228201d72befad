import { AppError } from '../../../kernel/errors.ts';
import { parseId } from '../../../kernel/ids.ts';
import { after } from '../../../kernel/time.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFacts } from '../../../platform/outbox.ts';
import type { NodeOp } from '../world.ts';
import type { EscrowWorld } from './world.ts';
import { DISPUTE_WINDOW_MS, SANDBOX_WINDOW_MS, type Escrow } from './escrow.ts';
import { claimedFact, completedFact, escrowFact } from './facts.ts';
import { partyEscrow } from './open.ts';
import { partyTask } from './party-task.ts';
import { proofHash } from './proof.ts';
import { findEscrow, moveEscrow } from './store.ts';
import { claimOpen, completeUndone, findTask, findTaskOfEscrow } from './task-store.ts';
import type { GridTask } from './task.ts';

/** Takes a task on, so that no other worker of the same seller does it too. */
export async function claimTask({ db }: EscrowWorld, op: NodeOp, id: string): Promise<GridTask> {
  return db.transact(async (tx) => {
    const task = await partyTask(tx, op, id);
    if (task.sellerId !== op.node.id) throw new AppError('forbidden', 'Not your task');
    if (!(await claimOpen(tx, task.id, op.now))) throw new AppError('conflict', 'Task already claimed or completed');
    await recordFacts(tx, op, [claimedFact(task)]);
    return { ...task, status: 'IN_PROGRESS' };
  });
}

export type Completion = { taskId: string; output: Record<string, unknown>; proofHash: string };
/** What was delivered, and when its seller is paid; a shadow task has nobody to be paid. */
export type Completed = { task: GridTask; settleAt: Date | null };

/** Delivers the output of a task. From now on its buyer may object. */
export async function completeTask({ db }: EscrowWorld, op: NodeOp, completion: Completion): Promise<Completed> {
  const { output, proofHash: given } = completion;
  const matches = given.toLowerCase() === proofHash(output);
  return db.transact(async (tx) => {
    const task = await sellersTask(tx, op, completion.taskId);
    // The escrow first, as everybody locks them: its buyer may be getting the money back at this moment.
    const escrow = task.escrowId && (await deliverFor(tx, op, task.escrowId, { proofHash: given }));
    const delivery = { output, proofHash: given, proofMatches: matches };
    const done = escrow === undefined ? undefined : await completeUndone(tx, task.id, delivery, op.now);
    if (!done) throw new AppError('invalid', 'Task cannot be completed from current state');
    await recordFacts(tx, op, [completedFact(done)]);
    return { task: done, settleAt: escrow ? escrow.settleAt : null };
  });
}

/** Says what was delivered for an escrow that is of no task. From now on its buyer may object. */
export async function deliverEscrow({ db }: EscrowWorld, op: NodeOp, id: string, hash: string): Promise<Escrow> {
  const escrowId = parseId('escrow', id);
  return db.transact(async (tx) => {
    const escrow = await partyEscrow(tx, op, escrowId);
    if (escrow.sellerId !== op.node.id) throw new AppError('forbidden', 'Not the seller of this escrow');
    if (await findTaskOfEscrow(tx, escrow.id))
      throw new AppError('invalid', 'This escrow is of a task: complete the task');
    const delivered = await deliverFor(tx, op, escrow.id, { proofHash: hash });
    if (!delivered) throw new AppError('invalid', 'Escrow cannot be delivered from current state');
    return delivered;
  });
}

/** Undefined where it is not waiting for a delivery, or not any longer. */
async function deliverFor(
  tx: Tx,
  op: NodeOp,
  id: Escrow['id'],
  { proofHash: hash }: { proofHash: string },
): Promise<Escrow | undefined> {
  const escrow = await findEscrow(tx, id);
  // What is overdue goes back to its buyer, even where nobody has come to give it back yet.
  if (!escrow || escrow.refundAt <= op.now) return undefined;
  const window = escrow.sandbox ? SANDBOX_WINDOW_MS : DISPUTE_WINDOW_MS;
  const delivered = await moveEscrow(tx, 'deliver', { id }, op.now, {
    settleAt: after(op.now, window),
    proofHash: hash,
  });
  if (delivered) await recordFacts(tx, op, [escrowFact('escrow.delivered', delivered)]);
  return delivered;
}

async function sellersTask(tx: Tx, op: NodeOp, id: string): Promise<GridTask> {
  const taskId = parseId('gridTask', id);
  const task = taskId && (await findTask(tx, taskId));
  if (!task) throw new AppError('not_found', 'Task not found');
  if (task.sellerId !== op.node.id) throw new AppError('forbidden', 'Not your task');
  return task;
}
