import type { AccountId, NodeId } from '../../../kernel/ids.ts';
import type { Tck } from '../../../kernel/money.ts';

/** What acts on the grid: an account under a name of its own, with its limits and its standing. */
export type Node = {
  id: NodeId;
  accountId: AccountId;
  /** False once it is banned. */
  active: boolean;
  /** Plays with money of its own, and only with others that do. */
  sandbox: boolean;
  strikes: number;
  /** The reputation index as lists see it: computed again soon after something has happened, and once a day. */
  cri: number;
  /** The reputation index when it last changed, less what strikes have taken from it: 0 to 100. */
  reputation: number;
  genesis: { rank: number; at: Date } | undefined;
  pioneer: { rank: number; at: Date } | undefined;
  signupToken: string | undefined;
  /** The most that it lets itself lock away on one day, and at once. */
  canary: { daily: Tck | undefined; perTask: Tck | undefined };
  /** All that it has ever locked away or paid in fees. */
  spent: Tck;
  createdAt: Date;
  lastActiveAt: Date;
};

/**
 * Sandbox nodes play with money of their own; these two take it as well. Only another system that the operator trusts
 * can name them: whoever had one would make money of what is worth nothing.
 */
export const HOUSE: readonly string[] = ['botnode-official', 'house'];

export const MIN_NODE_ID_LENGTH = 3;
export const MAX_NODE_ID_LENGTH = 100;
export const NODE_ID_PATTERN = /^[A-Za-z0-9_-]+$/;
