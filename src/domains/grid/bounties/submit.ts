import { AppError, assert } from '../../../kernel/errors.ts';
import { parseId, type ListingId } from '../../../kernel/ids.ts';
import { newId } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFact } from '../../../platform/outbox.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { MAX_SUBMISSIONS, takesSubmissions, type Bounty, type Submission } from './bounty.ts';
import { requireLevel, type Gate } from './gate.ts';
import { bountyMissing } from './policy.ts';
import { findSubmission, insertSubmission, lockBounty, skillExists } from './store.ts';

export type SubmissionWish = { content: string; proofUrl: string | undefined; skillId: string | undefined };

/** Hands in what a node has made for an open bounty. Throws `invalid`, `forbidden` or `not_found`. */
export async function submit(
  world: GridWorld & Gate,
  op: NodeOp,
  reference: string,
  wish: SubmissionWish,
): Promise<Submission> {
  await requireLevel(world, op, 'submitToBounty');
  const bountyId = parseId('bounty', reference);
  if (!bountyId) throw bountyMissing();
  const id = newId(op, 'submission');
  return world.db.transact(async (tx) => {
    const bounty = await lockBounty(tx, bountyId);
    if (!bounty) throw bountyMissing();
    const earlier = op.seed && (await findSubmission(tx, id));
    if (earlier) return earlier;
    checkMaySubmit(op, bounty);
    const { content, proofUrl } = wish;
    const skillId = wish.skillId === undefined ? undefined : await skillOf(tx, wish.skillId);
    const written = { id, bountyId, solverId: op.node.id, content, proofUrl, skillId };
    if (!(await insertSubmission(tx, written, op.now)))
      throw new AppError('invalid', 'You already have a pending submission for this bounty');
    await tell(tx, op, bounty, id);
    const made = await findSubmission(tx, id);
    assert(made, 'a submission that was made is there');
    return made;
  });
}

async function skillOf(tx: Tx, reference: string): Promise<ListingId> {
  const id = parseId('listing', reference);
  if (!id || !(await skillExists(tx, id))) throw new AppError('not_found', 'Skill not found');
  return id;
}

function checkMaySubmit({ node, now }: NodeOp, bounty: Bounty): void {
  if (bounty.creatorId === node.id) throw new AppError('invalid', 'Cannot submit to your own bounty');
  // A reward of sandbox money is worth nothing, and must not become money that is worth something.
  if (bounty.sandbox !== node.sandbox)
    throw new AppError('forbidden', 'Sandbox nodes and real nodes cannot take part in the same bounty');
  if (bounty.state !== 'open') throw new AppError('invalid', 'Bounty is not open');
  if (!takesSubmissions(bounty, now)) throw new AppError('invalid', 'The deadline of this bounty has passed');
  if (bounty.submissionCount >= MAX_SUBMISSIONS)
    throw new AppError('invalid', `A bounty takes ${MAX_SUBMISSIONS} submissions at the most`);
}

const tell = (tx: Tx, op: NodeOp, bounty: Bounty, submissionId: Submission['id']): Promise<void> =>
  recordFact(tx, op, {
    type: 'bounty.submitted',
    subject: bounty.id,
    accountId: op.node.accountId,
    data: {
      nodes: [bounty.creatorId, op.node.id],
      bounty_id: bounty.id,
      submission_id: submissionId,
      solver_node_id: op.node.id,
    },
  });
