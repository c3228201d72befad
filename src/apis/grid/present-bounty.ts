import type { z } from 'zod';
import {
  decimals,
  shortDecimals,
  type Award,
  type Bounty,
  type Cancellation,
  type ShownSubmission,
  type Submission,
} from '../../domains/grid/index.ts';
import type { Awarded, BountyList, BountyMade, BountyShown, Cancelled, SubmissionMade } from './bounty-wire.ts';
import { naive } from './present.ts';

const naiveOrNull = (at: Date | undefined): string | null => (at ? naive(at) : null);

export const presentMade = (bounty: Bounty): z.input<typeof BountyMade> => ({
  bounty_id: bounty.id,
  title: bounty.title,
  reward_tck: shortDecimals(bounty.reward),
  category: bounty.category,
  status: bounty.state,
  deadline_at: naiveOrNull(bounty.deadlineAt),
  escrow_reference: `ESCROW:BOUNTY:${bounty.id}`,
  created_at: naive(bounty.createdAt),
});

export const presentSummary = (bounty: Bounty): z.input<typeof BountyList>['bounties'][number] => ({
  bounty_id: bounty.id,
  title: bounty.title,
  reward_tck: shortDecimals(bounty.reward),
  category: bounty.category,
  status: bounty.state,
  tags: bounty.tags,
  submission_count: bounty.submissionCount,
  creator_node_id: bounty.creatorId,
  creator_cri: bounty.creatorCri,
  sealed: bounty.sealed,
  deadline_at: naiveOrNull(bounty.deadlineAt),
  created_at: naive(bounty.createdAt),
});

export const presentBounty = (bounty: Bounty, submissions: ShownSubmission[]): z.input<typeof BountyShown> => ({
  ...presentSummary(bounty),
  description: bounty.description,
  winner_node_id: bounty.winnerId ?? null,
  winner_submission_id: bounty.winnerSubmissionId ?? null,
  awarded_at: naiveOrNull(bounty.state === 'awarded' ? bounty.endedAt : undefined),
  cancelled_at: naiveOrNull(bounty.state === 'cancelled' ? bounty.endedAt : undefined),
  submissions: submissions.map((one) => ({
    id: one.id,
    solver_node_id: one.solverId,
    content: one.content ?? null,
    proof_url: one.proofUrl ?? null,
    skill_id: one.skillId ?? null,
    status: one.state,
    created_at: naive(one.createdAt),
  })),
});

export const presentSubmission = ({ id, bountyId, createdAt }: Submission): z.input<typeof SubmissionMade> => ({
  submission_id: id,
  bounty_id: bountyId,
  status: 'pending',
  created_at: naive(createdAt),
});

export const presentAward = ({ bountyId, winnerId, payout, tax, awardedAt }: Award): z.input<typeof Awarded> => ({
  bounty_id: bountyId,
  status: 'awarded',
  winner_node_id: winnerId,
  payout: decimals(payout),
  tax: decimals(tax),
  awarded_at: naive(awardedAt),
});

export const presentCancellation = ({ bountyId, refunded, cancelledAt }: Cancellation): z.input<typeof Cancelled> => ({
  bounty_id: bountyId,
  status: 'cancelled',
  refunded_tck: shortDecimals(refunded),
  cancelled_at: naive(cancelledAt),
});
