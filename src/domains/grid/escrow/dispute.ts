import { AppError } from '../../../kernel/errors.ts';
import { parseId, type EscrowId, type GridTaskId } from '../../../kernel/ids.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFacts } from '../../../platform/outbox.ts';
import { markOutdated } from '../reputation/store.ts';
import type { NodeOp } from '../world.ts';
import type { EscrowWorld } from './world.ts';
import { insertDecisions } from './decision-store.ts';
import type { Escrow } from './escrow.ts';
import { escrowFact } from './facts.ts';
import { partyEscrow } from './open.ts';
import { moveEscrow } from './store.ts';
import { findTask, findTaskOfEscrow, followEscrows } from './task-store.ts';

/** What somebody who looked at the output says of it. */
export type Evidence = Record<string, unknown>;
export type Objection = { reason: string; evidence?: Evidence | undefined };

/** Freezes the money of a delivered task until the operator decides. */
export async function disputeTask(world: EscrowWorld, op: NodeOp, id: string, objection: Objection): Promise<Escrow> {
  const taskId = parseId('gridTask', id);
  return world.db.transact(async (tx) => {
    const task = taskId && (await findTask(tx, taskId));
    if (!task) throw new AppError('not_found', 'Task not found');
    if (task.buyerId !== op.node.id) throw new AppError('forbidden', 'Not your task');
    if (task.escrowId === null) throw new AppError('invalid', 'A shadow task has no escrow to dispute');
    if (task.status !== 'COMPLETED') throw new AppError('invalid', 'Cannot dispute task from current state');
    return freeze(tx, op, { escrowId: task.escrowId, taskId: task.id }, objection);
  });
}

/** The same for an escrow that is of no task. */
export async function disputeEscrow(world: EscrowWorld, op: NodeOp, id: string, objection: Objection): Promise<Escrow> {
  const escrowId = parseId('escrow', id);
  return world.db.transact(async (tx) => {
    const escrow = await partyEscrow(tx, op, escrowId);
    if (escrow.buyerId !== op.node.id) throw new AppError('forbidden', 'Not the buyer of this escrow');
    const task = await findTaskOfEscrow(tx, escrow.id);
    return freeze(tx, op, { escrowId: escrow.id, taskId: task?.id ?? null }, objection);
  });
}

type Disputed = { escrowId: EscrowId; taskId: GridTaskId | null };

async function freeze(tx: Tx, op: NodeOp, { escrowId, taskId }: Disputed, objection: Objection): Promise<Escrow> {
  const escrow = await moveEscrow(tx, 'dispute', { id: escrowId, reason: 'BUYER_DISPUTE' }, op.now);
  if (!escrow) throw new AppError('invalid', 'Cannot dispute: Task not completed or already settled');
  if (escrow.settleAt && escrow.settleAt <= op.now)
    throw new AppError('invalid', 'Cannot dispute: the dispute window is over');
  await followEscrows(tx, [escrowId], 'DISPUTED');
  await markOutdated(tx, [escrow.buyerId, escrow.sellerId]);
  const { reason, evidence } = objection;
  const details = { reason, verification_evidence: evidence ?? null };
  await insertDecisions(tx, [{ escrowId, taskId, rule: 'BUYER_DISPUTE', details, action: 'FLAGGED_MANUAL' }], op.now);
  await recordFacts(tx, op, [escrowFact('escrow.disputed', escrow)]);
  return escrow;
}
