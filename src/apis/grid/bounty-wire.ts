import { z } from 'zod';
import {
  BOUNTY_CATEGORIES,
  BOUNTY_SORTS,
  BOUNTY_STATES,
  MAX_DEADLINE_DAYS,
  MAX_REWARD_TCK,
  MAX_SHOWN_SUBMISSIONS,
  MAX_TAG_LENGTH,
  MAX_TAGS,
  MIN_REWARD_TCK,
} from '../../domains/grid/index.ts';
import { Amount, givenAmount, offset, Timestamp, Uuid, wholeNumber } from './wire.ts';

const MAX_TITLE_LENGTH = 200;
const MIN_TITLE_LENGTH = 5;
const MIN_TEXT_LENGTH = 10;
const MAX_TEXT_LENGTH = 5_000;
const MIN_CONTENT_LENGTH = 5;
const MAX_CONTENT_LENGTH = 10_000;
const MAX_SKILL_ID_LENGTH = 100;
const MAX_URL_LENGTH = 2_000;
const MAX_CATEGORY_LENGTH = 50;
const MAX_PAGE = 100;
const DEFAULT_PAGE = 20;

const Category = z.enum(BOUNTY_CATEGORIES);
const State = z.enum(BOUNTY_STATES);

export const BountyWish = z.object({
  title: z
    .string()
    .min(MIN_TITLE_LENGTH)
    .max(MAX_TITLE_LENGTH)
    .meta({ examples: ['Summarise 100 papers'] }),
  description: z
    .string()
    .min(MIN_TEXT_LENGTH)
    .max(MAX_TEXT_LENGTH)
    .meta({ examples: ['A table with one row for each paper: title, claim, method, result.'] }),
  reward_tck: givenAmount({ least: MIN_REWARD_TCK, max: MAX_REWARD_TCK }).meta({ examples: [50] }),
  category: Category.default('general'),
  tags: z.array(z.string().min(1).max(MAX_TAG_LENGTH)).max(MAX_TAGS).nullish(),
  deadline_days: z.int().min(1).max(MAX_DEADLINE_DAYS).nullish(),
  sealed: z.boolean().default(false).meta({
    description: 'What is handed in is shown to you and to its solver alone, until you award one.',
  }),
});

export const BountyQuery = z.object({
  status: z.enum([...BOUNTY_STATES, 'all']).default('open'),
  category: z.string().max(MAX_CATEGORY_LENGTH).optional(),
  min_reward: z
    .string()
    .regex(/^\d{1,9}(\.\d{1,12})?$/, { error: 'must be a decimal number' })
    .transform(Number)
    .optional(),
  sort: z.enum(BOUNTY_SORTS).default('newest'),
  sandbox: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true')
    .meta({ description: 'Bounties of sandbox nodes, in place of those of all others.' }),
  limit: wholeNumber({ min: 1, max: MAX_PAGE }).default(DEFAULT_PAGE),
  offset,
});

export const SubmissionsQuery = z.object({
  submissions_limit: wholeNumber({ min: 0, max: MAX_SHOWN_SUBMISSIONS })
    .default(MAX_SHOWN_SUBMISSIONS)
    .meta({ description: 'Submissions that are shown; `submission_count` is of all.' }),
  submissions_offset: offset,
});

export const SubmissionWish = z.object({
  content: z
    .string()
    .min(MIN_CONTENT_LENGTH)
    .max(MAX_CONTENT_LENGTH)
    .meta({ examples: ['Here is the table: …'] }),
  proof_url: z.string().max(MAX_URL_LENGTH).nullish(),
  skill_id: z
    .string()
    .max(MAX_SKILL_ID_LENGTH)
    .nullish()
    .meta({ description: 'A listing on the market that did the work.' }),
});

export const AwardWish = z.object({ submission_id: Uuid });

export const BountyMade = z.object({
  bounty_id: Uuid,
  title: z.string(),
  reward_tck: Amount,
  category: Category,
  status: State,
  deadline_at: Timestamp.nullable(),
  escrow_reference: z.string().meta({ examples: ['ESCROW:BOUNTY:550e8400-e29b-41d4-a716-446655440000'] }),
  created_at: Timestamp,
});

const Summary = z.object({
  bounty_id: Uuid,
  title: z.string(),
  reward_tck: Amount,
  category: Category,
  status: State,
  tags: z.array(z.string()),
  submission_count: z.int(),
  creator_node_id: z.string(),
  creator_cri: z.number(),
  sealed: z.boolean(),
  deadline_at: Timestamp.nullable(),
  created_at: Timestamp,
});
export const BountyList = z.object({
  bounties: z.array(Summary),
  total: z.int(),
  limit: z.int(),
  offset: z.int(),
});

const SubmissionShown = z.object({
  id: Uuid,
  solver_node_id: z.string(),
  content: z.string().nullable().meta({ description: 'Null where it is sealed for you.' }),
  proof_url: z.string().nullable(),
  skill_id: z.string().nullable(),
  status: z.enum(['pending', 'accepted', 'rejected']),
  created_at: Timestamp,
});
export const BountyShown = Summary.extend({
  description: z.string(),
  winner_node_id: z.string().nullable(),
  winner_submission_id: Uuid.nullable(),
  awarded_at: Timestamp.nullable(),
  cancelled_at: Timestamp.nullable(),
  submissions: z.array(SubmissionShown),
});

export const SubmissionMade = z.object({
  submission_id: Uuid,
  bounty_id: Uuid,
  status: z.literal('pending'),
  created_at: Timestamp,
});
export const Awarded = z.object({
  bounty_id: Uuid,
  status: z.literal('awarded'),
  winner_node_id: z.string(),
  payout: Amount.meta({ examples: ['48.5000'] }),
  tax: Amount.meta({ examples: ['1.5000'] }),
  awarded_at: Timestamp,
});
export const Cancelled = z.object({
  bounty_id: Uuid,
  status: z.literal('cancelled'),
  refunded_tck: Amount,
  cancelled_at: Timestamp,
});
export const Expired = z.object({
  status: z.literal('OK'),
  expired: z.int(),
  failed: z.int(),
  timestamp: Timestamp,
});
