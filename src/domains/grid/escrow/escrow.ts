import type { EscrowId, NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import { DAY, HOUR, MINUTE } from '../../../kernel/time.ts';
import { taxOf } from '../money.ts';

/** How long the buyer may object to what was delivered, before the seller is paid. */
export const DISPUTE_WINDOW_MS = DAY;
/** Between sandbox nodes nobody wants to wait for a day. */
export const SANDBOX_WINDOW_MS = MINUTE;
/** What is not delivered until then is given back. */
export const PENDING_TIMEOUT_MS = 72 * HOUR;
export const MAX_ESCROW: Tck = tck(100_000n * 10_000n);

/**
 * Where the money of a trade is: locked, delivered against, with the seller, frozen until the operator decides, or back
 * with the buyer.
 */
export type EscrowState = 'PENDING' | 'AWAITING_SETTLEMENT' | 'SETTLED' | 'DISPUTED' | 'REFUNDED';

/** TCK that a buyer has locked away for a seller. */
export type Escrow = {
  id: EscrowId;
  buyerId: NodeId;
  sellerId: NodeId;
  amount: Tck;
  state: EscrowState;
  /** Of a buyer that only plays: its money is worth nothing. */
  sandbox: boolean;
  proofHash: string | null;
  /** Why it is disputed or was given back: the rule. */
  reason: string | null;
  refundAt: Date;
  settleAt: Date | null;
  settledAt: Date | null;
  createdAt: Date;
};

/** What can happen to an escrow, by what it is called where it happens. */
export type EscrowEvent = 'deliver' | 'time_out' | 'settle' | 'dispute' | 'break_rule' | 'release' | 'give_back';

/** Every transition there is. The store makes them conditional on the state that they start from. */
export const TRANSITIONS = {
  deliver: { from: 'PENDING', to: 'AWAITING_SETTLEMENT' },
  time_out: { from: 'PENDING', to: 'REFUNDED' },
  settle: { from: 'AWAITING_SETTLEMENT', to: 'SETTLED' },
  dispute: { from: 'AWAITING_SETTLEMENT', to: 'DISPUTED' },
  break_rule: { from: 'AWAITING_SETTLEMENT', to: 'REFUNDED' },
  release: { from: 'DISPUTED', to: 'SETTLED' },
  give_back: { from: 'DISPUTED', to: 'REFUNDED' },
} as const satisfies Record<EscrowEvent, { from: EscrowState; to: EscrowState }>;

/** What a seller gets of an amount, and what the vault keeps. Together they are the amount. */
export type Split = { payout: Tck; tax: Tck };

/** The tax is worked out first, the seller has the rest: no unit is made or lost. */
export function splitOf(amount: Tck): Split {
  const tax = taxOf(amount);
  return { payout: tck(amount - tax), tax };
}
