import type { Delivery } from '../../domains/webhooks/index.ts';
import type { z } from 'zod';
import {
  decimals,
  shortDecimals,
  type Escrow,
  type GridTask,
  type ListedTask,
  type Receipt,
  type RecordedDecision,
} from '../../domains/grid/index.ts';
import type { DecisionShown, EscrowShown, ReceiptShown, TaskShown } from './escrow-wire.ts';
import { naive } from './present.ts';

export const presentEscrow = (escrow: Escrow): z.input<typeof EscrowShown> => ({
  escrow_id: escrow.id,
  buyer_id: escrow.buyerId,
  seller_id: escrow.sellerId,
  amount: shortDecimals(escrow.amount),
  status: escrow.state,
  proof_hash: escrow.proofHash,
  dispute_reason: escrow.reason,
  created_at: naive(escrow.createdAt),
  auto_refund_at: naive(escrow.refundAt),
  auto_settle_at: escrow.settleAt && naive(escrow.settleAt),
  settled_at: escrow.settledAt && naive(escrow.settledAt),
});

export const presentTask = (task: ListedTask): z.input<typeof TaskShown> => ({
  task_id: task.id,
  skill_id: task.skillId,
  skill_label: task.skillLabel,
  buyer_id: task.buyerId,
  seller_id: task.sellerId,
  input_data: task.input,
  output_data: task.output ?? null,
  escrow_id: task.escrowId,
  status: task.status,
  shadow: task.shadow,
  created_at: naive(task.createdAt),
});

/** Clients expect an id here; a shadow task has no escrow, so its own stands in for it. */
export const shownEscrowId = ({ escrowId, id }: GridTask): string => escrowId ?? id;

export const presentDecision = (decision: RecordedDecision): z.input<typeof DecisionShown> => ({
  id: decision.id,
  task_id: decision.taskId,
  escrow_id: decision.escrowId,
  escrow_status: decision.escrowState,
  rule_applied: decision.rule,
  rule_details: decision.details,
  action_taken: decision.action,
  created_at: naive(decision.at),
});

/** `told` is what became of telling the reader about the task and its escrow. */
export function presentReceipt(receipt: Receipt, told: readonly Delivery[]): z.input<typeof ReceiptShown> {
  const { task, offer, escrow, decisions } = receipt;
  return {
    receipt_id: `rcpt_${task.id}`,
    generated_at: `${naive(receipt.at)}Z`,
    task: {
      task_id: task.id,
      skill_id: task.skillId,
      skill_label: offer?.label ?? null,
      buyer_id: task.buyerId,
      seller_id: task.sellerId,
      status: task.status,
      protocol: task.shadow ? 'shadow' : task.via,
      integration: task.integration,
      is_shadow: task.shadow,
      has_output: task.completedAt !== null,
      proof_hash: task.proofHash,
      proof_matches: task.proofMatches,
      created_at: naive(task.createdAt),
      completed_at: task.completedAt && naive(task.completedAt),
    },
    escrow: escrow ? presentEscrow(escrow) : null,
    ledger_movements: receipt.movements.map((movement) => presentMovement(movement, receipt.movements)),
    dispute_engine: decisions.map(({ rule, action, details, at }) => ({
      rule,
      action,
      details,
      timestamp: naive(at),
    })),
    webhooks: told.map(({ type, state, attempts, lastResponseCode, createdAt }) => ({
      event: type,
      status: state,
      attempts,
      last_response_code: lastResponseCode,
      timestamp: naive(createdAt),
    })),
    summary: summaryOf(receipt),
  };
}

type Movement = Receipt['movements'][number];

function presentMovement(movement: Movement, all: readonly Movement[]) {
  const { transferId, name, amount, postedAfter, type, description, at } = movement;
  const isOpposite = (other: Movement) => other.transferId === transferId && other.amount > 0n !== amount > 0n;
  // Of what went to several the one that got most is named.
  const counterparty = all.filter(isOpposite).toSorted((a, b) => Number(b.amount - a.amount))[0];
  return {
    type: amount < 0n ? ('DEBIT' as const) : ('CREDIT' as const),
    account: name,
    counterparty: counterparty?.name ?? null,
    amount: decimals(amount < 0n ? -amount : amount),
    balance_after: decimals(postedAfter),
    reference_type: type,
    note: description,
    timestamp: naive(at),
  };
}

function summaryOf({ task, escrow, decisions, movements }: Receipt): string {
  const parts = [`Task ${task.id.slice(0, 8)}`];
  if (escrow) parts.push(`escrow ${escrow.state} (${shortDecimals(escrow.amount)} TCK)`);
  if (task.shadow) parts.push('shadow, no TCK was moved');
  if (decisions.length > 0) parts.push(`${decisions.length} dispute rule(s) fired`);
  parts.push(`${movements.length} ledger entries`);
  return parts.join(' · ');
}
