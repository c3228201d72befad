import type { NodeId } from '../../../kernel/ids.ts';
import type { Tck } from '../../../kernel/money.ts';

/** What a node has traded, as far as others may judge it by that. Settled escrows count; what is a shadow does not. */
export type Standing = {
  /** Settled as seller, as buyer. */
  sold: number;
  bought: number;
  /** Different nodes that have bought from it, that it has bought from. */
  buyers: number;
  sellers: number;
  volume: Tck;
  /** Escrows that it sells for and that stand disputed. */
  disputed: number;
  /** Tasks that it has delivered, whatever became of them. */
  sellerTasks: number;
  /** Settled trades with the one node that it has traded with most. */
  largestShare: number;
  lastSettledAt: Date | undefined;
  firstSoldAt: Date | undefined;
};

/** Of a node that has traded nothing. */
export const NO_STANDING: Standing = {
  sold: 0,
  bought: 0,
  buyers: 0,
  sellers: 0,
  volume: 0n as Tck,
  disputed: 0,
  sellerTasks: 0,
  largestShare: 0,
  lastSettledAt: undefined,
  firstSoldAt: undefined,
};

export type Standings = Map<NodeId, Standing>;
