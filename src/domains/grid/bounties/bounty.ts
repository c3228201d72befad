import type { BountyId, ListingId, NodeId, SubmissionId } from '../../../kernel/ids.ts';
import type { Tck } from '../../../kernel/money.ts';
import { DAY, after } from '../../../kernel/time.ts';

export const BOUNTY_CATEGORIES = ['general', 'code', 'research', 'translation', 'data', 'monitoring', 'other'] as const;
export type BountyCategory = (typeof BOUNTY_CATEGORIES)[number];

export const BOUNTY_STATES = ['open', 'awarded', 'cancelled', 'expired'] as const;
export type BountyState = (typeof BOUNTY_STATES)[number];
export type SubmissionState = 'pending' | 'accepted' | 'rejected';

/** A reward that its creator has put aside for whoever solves something. */
export type Bounty = {
  id: BountyId;
  creatorId: NodeId;
  creatorCri: number;
  /** Of a sandbox node: no other node takes part, its money is worth nothing. */
  sandbox: boolean;
  title: string;
  description: string;
  reward: Tck;
  category: BountyCategory;
  tags: string[];
  /** What is handed in is shown to its creator and its solver alone, until one of them is awarded. */
  sealed: boolean;
  state: BountyState;
  deadlineAt: Date | undefined;
  winnerId: NodeId | undefined;
  winnerSubmissionId: SubmissionId | undefined;
  createdAt: Date;
  /** When it was awarded, cancelled or expired. */
  endedAt: Date | undefined;
  submissionCount: number;
};

export type Submission = {
  id: SubmissionId;
  bountyId: BountyId;
  solverId: NodeId;
  content: string;
  proofUrl: string | undefined;
  skillId: ListingId | undefined;
  state: SubmissionState;
  createdAt: Date;
};

export const MIN_REWARD_TCK = 10;
export const MAX_REWARD_TCK = 100_000;
export const MAX_DEADLINE_DAYS = 90;
export const MAX_TAGS = 20;
export const MAX_TAG_LENGTH = 50;
/** What one bounty takes in all. */
export const MAX_SUBMISSIONS = 500;
/** What one look at a bounty shows of it: a megabyte of texts at the most. */
export const MAX_SHOWN_SUBMISSIONS = 100;

export const deadlineOf = (now: Date, days: number | undefined): Date | undefined =>
  days === undefined ? undefined : after(now, days * DAY);

/** Until its deadline; its creator may still decide on what was handed in, until it has been expired. */
export const takesSubmissions = (bounty: Pick<Bounty, 'state' | 'deadlineAt'>, now: Date): boolean =>
  bounty.state === 'open' && (bounty.deadlineAt === undefined || now < bounty.deadlineAt);

/** Whether somebody may read what a solver has handed in. */
export const mayRead = (
  bounty: Pick<Bounty, 'sealed' | 'state' | 'creatorId'>,
  { solverId }: Pick<Submission, 'solverId'>,
  reader: NodeId | undefined,
): boolean =>
  !bounty.sealed ||
  bounty.state === 'awarded' ||
  (reader !== undefined && (reader === bounty.creatorId || reader === solverId));
