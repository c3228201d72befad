import type { EscrowId, GridTaskId } from '../../../kernel/ids.ts';
import type { EscrowState } from './escrow.ts';
import type { Rule } from './promises.ts';

/** What decided about an escrow against its plain course: a rule, its buyer, the operator, or a ban. */
export type DecidedBy = Rule | 'TIMEOUT_NON_DELIVERY' | 'BUYER_DISPUTE' | 'MANUAL_RESOLUTION' | 'NODE_BANNED';
export type Action = 'AUTO_REFUND' | 'AUTO_SETTLE' | 'FLAGGED_MANUAL' | 'HELD';

export type Decision = {
  escrowId: EscrowId;
  taskId: GridTaskId | null;
  rule: DecidedBy;
  details: Record<string, unknown> | null;
  action: Action;
};

export type RecordedDecision = Decision & { id: string; escrowState: EscrowState; at: Date };

/** What one of a buyer's validators found. Only FAIL gives the money back. */
export type Validation = {
  validatorId: string;
  result: 'PASS' | 'FAIL' | 'INCONCLUSIVE' | 'ERROR';
  details: unknown;
};

export type RecordedValidation = Validation & { at: Date };
