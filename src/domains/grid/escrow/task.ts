import type { EscrowId, GridTaskId, ListingId, NodeId } from '../../../kernel/ids.ts';

export type GridTaskStatus = 'OPEN' | 'IN_PROGRESS' | 'COMPLETED' | 'DISPUTED' | 'SETTLED' | 'REFUNDED';

/** The way by which a task came. */
export type Via = 'grid' | 'mcp' | 'a2a';

/**
 * What one node does for another for the price of a skill. A shadow task goes the same way without any money: it has no
 * escrow.
 */
export type GridTask = {
  id: GridTaskId;
  skillId: ListingId;
  buyerId: NodeId;
  sellerId: NodeId;
  escrowId: EscrowId | null;
  input: Record<string, unknown>;
  output: unknown;
  proofHash: string | null;
  /** Whether the seller's hash is that of the output; null before there is one. */
  proofMatches: boolean | null;
  status: GridTaskStatus;
  shadow: boolean;
  via: Via;
  /** The program that hired, where it came through the bridge. */
  integration: string | null;
  callbackUrl: string | null;
  deadlineAt: Date | null;
  validatorIds: string[];
  createdAt: Date;
  completedAt: Date | null;
};

/** Whether a node is one of the two that a task is between. */
export const isParty = (of: { buyerId: NodeId; sellerId: NodeId }, node: NodeId): boolean =>
  node === of.buyerId || node === of.sellerId;
