import { z } from 'zod';
import { Amount, Timestamp, Uuid } from './wire.ts';

/** Schemas of escrows and tasks, as clients send and see them. */

const MAX_ID_LENGTH = 100;
const MAX_KEY_LENGTH = 100;
const MAX_PROOF_LENGTH = 256;
const MAX_REASON_LENGTH = 2_000;

/** An id that cannot be one is of nothing that is there. */
export const GivenId = z
  .string()
  .min(1)
  .max(MAX_ID_LENGTH)
  .meta({ examples: ['550e8400-e29b-41d4-a716-446655440000'] });
export const IdempotencyField = z.string().min(1).max(MAX_KEY_LENGTH).nullish();
export const ProofHash = z
  .string()
  .min(1)
  .max(MAX_PROOF_LENGTH)
  .meta({
    description: 'SHA-256, in hex, of the NFC form of the compact JSON whose keys are sorted at every depth.',
    examples: ['9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'],
  });
export const Reason = z.string().min(1).max(MAX_REASON_LENGTH);
/** A JSON object of any content. */
export const Json = z.record(z.string(), z.unknown());
export const IdParams = z.object({ id: z.string() });

export const EscrowStatus = z.enum(['PENDING', 'AWAITING_SETTLEMENT', 'SETTLED', 'DISPUTED', 'REFUNDED']);

export const EscrowShown = z.object({
  escrow_id: Uuid,
  buyer_id: z.string(),
  seller_id: z.string(),
  amount: Amount,
  status: EscrowStatus,
  proof_hash: z.string().nullable(),
  dispute_reason: z.string().nullable(),
  created_at: Timestamp,
  auto_refund_at: Timestamp,
  auto_settle_at: Timestamp.nullable(),
  settled_at: Timestamp.nullable(),
});

export const TaskShown = z.object({
  task_id: Uuid,
  skill_id: Uuid,
  skill_label: z.string(),
  buyer_id: z.string(),
  seller_id: z.string(),
  input_data: Json,
  output_data: z.unknown(),
  escrow_id: Uuid.nullable(),
  status: z.string(),
  shadow: z.boolean(),
  created_at: Timestamp,
});

export const ReceiptShown = z.object({
  receipt_id: z.string(),
  generated_at: z.string(),
  task: z.object({
    task_id: Uuid,
    skill_id: Uuid,
    skill_label: z.string().nullable(),
    buyer_id: z.string(),
    seller_id: z.string(),
    status: z.string(),
    protocol: z.string(),
    integration: z.string().nullable().meta({ description: 'The program that hired through the bridge.' }),
    is_shadow: z.boolean(),
    has_output: z.boolean(),
    proof_hash: z.string().nullable(),
    proof_matches: z.boolean().nullable(),
    created_at: Timestamp,
    completed_at: Timestamp.nullable(),
  }),
  escrow: EscrowShown.nullable(),
  ledger_movements: z.array(
    z.object({
      type: z.enum(['DEBIT', 'CREDIT']),
      account: z.string(),
      counterparty: z.string().nullable(),
      amount: Amount,
      balance_after: Amount.nullable(),
      reference_type: z.string(),
      note: z.string(),
      timestamp: Timestamp,
    }),
  ),
  dispute_engine: z.array(
    z.object({ rule: z.string(), action: z.string(), details: z.unknown(), timestamp: Timestamp }),
  ),
  webhooks: z.array(
    z.object({
      event: z.string(),
      status: z.string(),
      attempts: z.int(),
      last_response_code: z.int().nullable(),
      timestamp: Timestamp,
    }),
  ),
  summary: z.string(),
});

export const DecisionShown = z.object({
  id: Uuid,
  task_id: Uuid.nullable(),
  escrow_id: Uuid,
  escrow_status: EscrowStatus,
  rule_applied: z.string(),
  rule_details: z.unknown(),
  action_taken: z.string(),
  created_at: Timestamp,
});
