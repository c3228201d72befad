import type { BountyId, ListingId, NodeId, SubmissionId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import type { Bounty, BountyCategory, BountyState, Submission, SubmissionState } from './bounty.ts';

type BountyRow = {
  id: BountyId;
  creator_id: NodeId;
  creator_cri: number;
  sandbox: boolean;
  title: string;
  description: string;
  reward: bigint;
  category: BountyCategory;
  tags: string[];
  sealed: boolean;
  state: BountyState;
  deadline_at: Date | null;
  winner_id: NodeId | null;
  winner_submission_id: SubmissionId | null;
  created_at: Date;
  ended_at: Date | null;
  submission_count: bigint;
};

const BOUNTY = `select b.id, b.creator_id, n.cri::float8 as creator_cri, b.sandbox, b.title, b.description, b.reward, b.category, b.tags, b.sealed, b.state,
       b.deadline_at, b.winner_id, b.winner_submission_id, b.created_at, b.ended_at,
       (select count(*) from grid_submissions s where s.bounty_id = b.id) as submission_count
  from grid_bounties b join grid_nodes n on n.id = b.creator_id`;

const bountyOf = (row: BountyRow): Bounty => ({
  id: row.id,
  creatorId: row.creator_id,
  creatorCri: row.creator_cri,
  sandbox: row.sandbox,
  title: row.title,
  description: row.description,
  reward: tck(row.reward),
  category: row.category,
  tags: row.tags,
  sealed: row.sealed,
  state: row.state,
  deadlineAt: row.deadline_at ?? undefined,
  winnerId: row.winner_id ?? undefined,
  winnerSubmissionId: row.winner_submission_id ?? undefined,
  createdAt: row.created_at,
  endedAt: row.ended_at ?? undefined,
  submissionCount: Number(row.submission_count),
});

export type NewBounty = Pick<
  Bounty,
  'id' | 'creatorId' | 'sandbox' | 'title' | 'description' | 'reward' | 'category' | 'tags' | 'sealed' | 'deadlineAt'
>;

/** False where it is there already: the request that makes it is carried out once more. */
export async function insertBounty(tx: Tx, bounty: NewBounty, now: Date): Promise<boolean> {
  const { id, creatorId, sandbox, title, description, reward, category, tags, sealed, deadlineAt } = bounty;
  const rows = await tx.query(
    `insert into grid_bounties
       (id, creator_id, sandbox, title, description, reward, category, tags, sealed, deadline_at, ends_at, created_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)
     on conflict (id) do nothing
     returning 1`,
    [id, creatorId, sandbox, title, description, reward, category, tags, sealed, deadlineAt ?? null, now],
  );
  return rows.length > 0;
}

export async function findBounty(db: Db, id: BountyId): Promise<Bounty | undefined> {
  const [row] = await db.query<BountyRow>(`${BOUNTY} where b.id = $1`, [id]);
  return row && bountyOf(row);
}

/** Locked: what is handed in, awarded, cancelled or expired at the same time waits for this transaction. */
export async function lockBounty(tx: Tx, id: BountyId): Promise<Bounty | undefined> {
  await tx.query(`select from grid_bounties where id = $1 for update`, [id]);
  // A second statement, for it sees what was committed while this one waited.
  return findBounty(tx, id);
}

export const BOUNTY_SORTS = ['newest', 'reward', 'deadline'] as const;
export type BountySearch = {
  state: BountyState | 'all';
  sandbox: boolean;
  category?: string | undefined;
  minReward?: Tck | undefined;
  sort: (typeof BOUNTY_SORTS)[number];
  limit: number;
  offset: number;
};

/** Every order ends with the sequence, so that pages neither repeat nor miss a bounty. */
const ORDERS = {
  newest: 'b.seq desc',
  reward: 'b.reward desc, b.seq desc',
  deadline: 'b.deadline_at asc nulls last, b.seq desc',
} as const satisfies Record<BountySearch['sort'], string>;

export async function searchBounties(
  db: Db,
  { state, sandbox, category, minReward, sort, limit, offset }: BountySearch,
): Promise<{ bounties: Bounty[]; total: number }> {
  const matching = `b.sandbox = $1 and ($2 = 'all' or b.state = $2) and ($3::text is null or b.category = $3)
    and ($4::bigint is null or b.reward >= $4)`;
  const values = [sandbox, state, category ?? null, minReward ?? null];
  const [counted] = await db.query<{ total: bigint }>(
    `select count(*) as total from grid_bounties b where ${matching}`,
    values,
  );
  const rows = await db.query<BountyRow>(`${BOUNTY} where ${matching} order by ${ORDERS[sort]} limit $5 offset $6`, [
    ...values,
    limit,
    offset,
  ]);
  return { bounties: rows.map(bountyOf), total: Number(counted?.total ?? 0n) };
}

/** Open bounties that the sweep is to end, the longest due first. */
export async function dueBounties(db: Db, now: Date, limit: number): Promise<BountyId[]> {
  const rows = await db.query<{ id: BountyId }>(
    `select id from grid_bounties where state = 'open' and ends_at <= $1 order by ends_at, seq limit $2`,
    [now, limit],
  );
  return rows.map(({ id }) => id);
}

/** Has the sweep come to one at this time. Its deadline stays where it is. */
export async function postponeEnd(tx: Tx, id: BountyId, until: Date): Promise<void> {
  await tx.query(`update grid_bounties set ends_at = $2 where id = $1 and state = 'open'`, [id, until]);
}

/** Has the sweep end what a node that is here no more has open. */
export async function abandonBounties(tx: Tx, creator: NodeId, now: Date): Promise<void> {
  await tx.query(`update grid_bounties set ends_at = $2 where creator_id = $1 and state = 'open'`, [creator, now]);
}

/** Has the sweep leave them to a node that is here again, until their deadlines. */
export async function readoptBounties(tx: Tx, creator: NodeId): Promise<void> {
  await tx.query(`update grid_bounties set ends_at = deadline_at where creator_id = $1 and state = 'open'`, [creator]);
}

/** In the order of their ids, in which whoever ends several locks them. */
export async function openBountiesOf(db: Db, creator: NodeId, limit: number): Promise<BountyId[]> {
  const rows = await db.query<{ id: BountyId }>(
    `select id from grid_bounties where creator_id = $1 and state = 'open' order by id limit $2`,
    [creator, limit],
  );
  return rows.map(({ id }) => id);
}

export type BountyEnd =
  | { state: 'awarded'; winnerId: NodeId; submissionId: SubmissionId }
  | { state: 'cancelled' }
  | { state: 'expired' };

/** Ends an open bounty, and what is still pending with it. False where it was over already. */
export async function endBounty(tx: Tx, id: BountyId, end: BountyEnd, now: Date): Promise<boolean> {
  const award = end.state === 'awarded' ? end : undefined;
  const ended = await tx.query(
    `update grid_bounties
        set state = $2, ended_at = $3, winner_id = $4, winner_submission_id = $5
      where id = $1 and state = 'open'
      returning 1`,
    [id, end.state, now, award?.winnerId ?? null, award?.submissionId ?? null],
  );
  if (ended.length === 0) return false;
  await tx.query(
    `update grid_submissions
        set state = case when id = $2 then 'accepted' else 'rejected' end, reviewed_at = $3
      where bounty_id = $1 and state = 'pending'`,
    [id, award?.submissionId ?? null, now],
  );
  return true;
}

type SubmissionRow = {
  id: SubmissionId;
  bounty_id: BountyId;
  solver_id: NodeId;
  content: string;
  proof_url: string | null;
  skill_id: ListingId | null;
  state: SubmissionState;
  created_at: Date;
};

const SUBMISSION_COLUMNS = 'id, bounty_id, solver_id, content, proof_url, skill_id, state, created_at';

const submissionOf = (row: SubmissionRow): Submission => ({
  id: row.id,
  bountyId: row.bounty_id,
  solverId: row.solver_id,
  content: row.content,
  proofUrl: row.proof_url ?? undefined,
  skillId: row.skill_id ?? undefined,
  state: row.state,
  createdAt: row.created_at,
});

export type NewSubmission = Pick<Submission, 'id' | 'bountyId' | 'solverId' | 'content' | 'proofUrl' | 'skillId'>;

/** False where the solver has one pending. */
export async function insertSubmission(tx: Tx, submission: NewSubmission, now: Date): Promise<boolean> {
  const { id, bountyId, solverId, content, proofUrl, skillId } = submission;
  const rows = await tx.query(
    `insert into grid_submissions (id, bounty_id, solver_id, content, proof_url, skill_id, created_at)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict do nothing
     returning 1`,
    [id, bountyId, solverId, content, proofUrl ?? null, skillId ?? null, now],
  );
  return rows.length > 0;
}

export async function findSubmission(db: Db, id: SubmissionId): Promise<Submission | undefined> {
  const [row] = await db.query<SubmissionRow>(`select ${SUBMISSION_COLUMNS} from grid_submissions where id = $1`, [id]);
  return row && submissionOf(row);
}

/** One page, newest first. */
export async function submissionsOf(
  db: Db,
  bountyId: BountyId,
  { limit, offset }: { limit: number; offset: number },
): Promise<Submission[]> {
  const rows = await db.query<SubmissionRow>(
    `select ${SUBMISSION_COLUMNS} from grid_submissions where bounty_id = $1 order by seq desc limit $2 offset $3`,
    [bountyId, limit, offset],
  );
  return rows.map(submissionOf);
}

export async function skillExists(db: Db, id: ListingId): Promise<boolean> {
  return (await db.query(`select 1 from grid_skills where id = $1`, [id])).length > 0;
}
