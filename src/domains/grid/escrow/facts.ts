import type { EscrowId, NodeId } from '../../../kernel/ids.ts';
import type { NewFact } from '../../../platform/outbox.ts';
import { shortDecimals } from '../money.ts';
import type { Escrow } from './escrow.ts';
import type { GridTask } from './task.ts';

/** A fact of the grid says which nodes it concerns: they are who may be told. */
const about = (type: string, subject: string, nodes: NodeId[], data: Record<string, unknown>): NewFact => ({
  type,
  subject,
  data: { ...data, nodes },
});

const bothOf = ({ buyerId, sellerId }: { buyerId: NodeId; sellerId: NodeId }) => [buyerId, sellerId];

export type EscrowFact =
  | 'escrow.locked'
  | 'escrow.delivered'
  | 'escrow.settled'
  | 'escrow.disputed'
  | 'escrow.refunded';

export const escrowFact = (type: EscrowFact, escrow: Escrow): NewFact =>
  about(type, escrow.id, bothOf(escrow), {
    escrow_id: escrow.id,
    amount: shortDecimals(escrow.amount),
    ...(escrow.reason !== null && { reason: escrow.reason }),
  });

/** Its money is due to a node that is banned. */
export const heldFact = (id: EscrowId, node: NodeId): NewFact =>
  about('escrow.held', id, [node], { escrow_id: id, held_for: node });

const taskData = ({ id, skillId }: GridTask) => ({ task_id: id, skill_id: skillId });

/** Its seller has work. */
export const createdFact = (task: GridTask): NewFact =>
  about('grid.task.created', task.id, [task.sellerId], taskData(task));
export const claimedFact = (task: GridTask): NewFact =>
  about('grid.task.claimed', task.id, [task.buyerId], taskData(task));
/** Its buyer has a result. */
export const completedFact = (task: GridTask): NewFact =>
  about('grid.task.completed', task.id, [task.buyerId], taskData(task));
export const purchasedFact = (task: GridTask): NewFact =>
  about('skill.purchased', task.skillId, [task.sellerId], taskData(task));
