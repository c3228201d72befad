import { AppError, assert } from '../../../kernel/errors.ts';
import { parseId, type AccountId, type BountyId, type NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import { newId, type Op } from '../../../kernel/op.ts';
import { after, MINUTE } from '../../../kernel/time.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFact } from '../../../platform/outbox.ts';
import { bounty as bountyAccount, mint, wallet, type Code } from '../../ledger/index.ts';
import { shortDecimals, taxOf, vaultOf } from '../money.ts';
import type { Node } from '../nodes/node.ts';
import { findNode } from '../nodes/store.ts';
import { isBanned } from '../reputation/cri.ts';
import { addConfiscated } from '../reputation/report-store.ts';
import { keepFromBan, lockNode } from '../reputation/store.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import type { Bounty, Submission } from './bounty.ts';
import { lockOwn } from './policy.ts';
import {
  abandonBounties,
  dueBounties,
  endBounty,
  findBounty,
  findSubmission,
  lockBounty,
  openBountiesOf,
  postponeEnd,
  readoptBounties,
} from './store.ts';

export type Award = { bountyId: BountyId; winnerId: NodeId; payout: Tck; tax: Tck; awardedAt: Date };
export type Cancellation = { bountyId: BountyId; refunded: Tck; cancelledAt: Date };

/** Bounties that one run of the sweep expires, or that end with their creator at once. */
const BATCH = 100;
/** When one that could not be ended is tried again: meanwhile it is not in the way of those behind it. */
const RETRY_MS = 5 * MINUTE;

const notOpen = (): AppError => new AppError('invalid', 'Bounty is not open');

/** Gives the reward, less the tax, to whoever handed in a submission; the others are rejected. */
export function award({ db, ledger }: GridWorld, op: NodeOp, reference: string, submissionId: string): Promise<Award> {
  return db.transact(async (tx) => {
    const bounty = await lockOwn(tx, op, reference, 'award');
    const submission = await findChosen(tx, bounty, submissionId);
    if (op.seed && bounty.winnerSubmissionId === submission.id) return awardOf(bounty, submission, bounty.endedAt);
    if (bounty.state !== 'open') throw notOpen();
    if (submission.state !== 'pending') throw new AppError('invalid', 'Submission is not pending');
    await keepFromBan(tx, submission.solverId);
    const winner = await findNode(tx, submission.solverId);
    if (!winner?.active) throw new AppError('invalid', 'The solver of this submission is not active any more');
    const end = { state: 'awarded', winnerId: winner.id, submissionId: submission.id } as const;
    if (!(await endBounty(tx, bounty.id, end, op.now))) throw notOpen();
    const awarded = awardOf(bounty, submission, op.now);
    await ledger.transfer(tx, op, payment(op, bounty, awarded, winner.accountId));
    await recordFact(tx, op, {
      type: 'bounty.awarded',
      subject: bounty.id,
      accountId: winner.accountId,
      data: {
        nodes: [winner.id, bounty.creatorId],
        bounty_id: bounty.id,
        submission_id: submission.id,
        winner_node_id: winner.id,
        payout: shortDecimals(awarded.payout),
      },
    });
    return awarded;
  });
}

async function findChosen(tx: Tx, bounty: Bounty, reference: string): Promise<Submission> {
  const id = parseId('submission', reference);
  const submission = id && (await findSubmission(tx, id));
  if (submission?.bountyId !== bounty.id) throw new AppError('not_found', 'Submission not found');
  return submission;
}

function awardOf(bounty: Bounty, { solverId }: Submission, awardedAt: Date | undefined): Award {
  assert(awardedAt, 'an awarded bounty has ended');
  const tax = taxOf(bounty.reward);
  return { bountyId: bounty.id, winnerId: solverId, payout: tck(bounty.reward - tax), tax, awardedAt };
}

const payment = (op: Op, { id, reward, sandbox }: Bounty, { payout, tax }: Award, winner: AccountId) => ({
  id: newId(op, 'transfer', 'bounty release'),
  type: 'BOUNTY_RELEASE',
  description: `Reward of bounty ${id}`,
  metadata: { reference: id },
  legs: [
    { account: bountyAccount(id), amount: tck(-reward) },
    { account: wallet(winner, 'TCK'), amount: payout },
    ...(tax > 0n ? [{ account: vaultOf({ sandbox }), amount: tax, type: 'PROTOCOL_TAX' }] : []),
  ],
});

/** Takes an open bounty back; what was handed in for it is rejected. */
export function cancel(world: GridWorld, op: NodeOp, reference: string): Promise<Cancellation> {
  return world.db.transact(async (tx) => {
    const bounty = await lockOwn(tx, op, reference, 'cancel');
    const over = op.seed && bounty.state === 'cancelled' ? bounty.endedAt : undefined;
    if (!over && !(await giveBack(world, tx, op, bounty, 'cancelled'))) throw notOpen();
    return { bountyId: bounty.id, refunded: bounty.reward, cancelledAt: over ?? op.now };
  });
}

export type Expiry = { expired: number; failed: number };

/**
 * Ends bounties whose deadline has come, and those whose creator is here no more and can neither award nor cancel them.
 * One that fails hinders no other.
 */
export async function expireDue(world: GridWorld, op: Op): Promise<Expiry> {
  const due = await dueBounties(world.db, op.now, BATCH);
  const expiry = { expired: 0, failed: 0 };
  for (const id of due) {
    try {
      if (await expire(world, op, id)) expiry.expired++;
    } catch (error) {
      expiry.failed++;
      world.log.error({ err: error, bountyId: id }, 'a bounty could not be expired');
      await world.db.transact((tx) => postponeEnd(tx, id, after(op.now, RETRY_MS)));
    }
  }
  return expiry;
}

const expire = (world: GridWorld, op: Op, id: BountyId): Promise<boolean> =>
  world.db.transact(async (tx) => {
    const found = await findBounty(tx, id);
    // Its creator first, as whoever bans or reinstates one does: what is confiscated here is what is given back there.
    if (found) await lockNode(tx, found.creatorId);
    const bounty = found && (await lockBounty(tx, id));
    if (!bounty) return false;
    const creator = await creatorOf(tx, bounty);
    const isDue = bounty.deadlineAt !== undefined && bounty.deadlineAt <= op.now;
    if (!isDue && creator.active) {
      // Here again since it was found to be due.
      await readoptBounties(tx, creator.id);
      return false;
    }
    const ended = await giveBack(world, tx, op, bounty, isDue ? 'expired' : 'cancelled');
    if (ended && isBanned(creator)) await addConfiscated(tx, creator.id, bounty.reward);
    return ended;
  });

/** Ends the open bounties of a node that is banned, and answers what of it went to the vault. The sweep does the rest. */
export async function endBanned(world: GridWorld, tx: Tx, op: Op, creator: NodeId): Promise<Tck> {
  await abandonBounties(tx, creator, op.now);
  let rewards = 0n;
  for (const id of await openBountiesOf(tx, creator, BATCH)) {
    const bounty = await lockBounty(tx, id);
    if (bounty && (await giveBack(world, tx, op, bounty, 'cancelled'))) rewards += bounty.reward;
  }
  return tck(rewards);
}

async function creatorOf(tx: Tx, { creatorId }: Bounty): Promise<Node> {
  const creator = await findNode(tx, creatorId);
  assert(creator, 'a bounty has a creator');
  return creator;
}

/** Ends a bounty in which nobody has won. False where it was over already. */
async function giveBack(
  { ledger }: Pick<GridWorld, 'ledger'>,
  tx: Tx,
  op: Op,
  bounty: Bounty,
  state: 'cancelled' | 'expired',
): Promise<boolean> {
  const { id, creatorId, reward } = bounty;
  if (!(await endBounty(tx, id, { state }, op.now))) return false;
  const creator = await creatorOf(tx, bounty);
  const { to, ...named } = wayBack(bounty, creator);
  await ledger.transfer(tx, op, {
    id: newId(op, 'transfer', `bounty refund ${id}`),
    ...named,
    metadata: { reference: id },
    legs: [
      { account: bountyAccount(id), amount: tck(-reward) },
      { account: to, amount: reward },
    ],
  });
  await recordFact(tx, op, {
    type: `bounty.${state}`,
    subject: id,
    accountId: creator.accountId,
    data: { nodes: [creatorId], bounty_id: id, refunded: shortDecimals(reward) },
  });
  return true;
}

type WayBack = { type: string; description: string; to: Code<'TCK'> };

/** A reward is its creator's balance put aside, and goes where that goes when its creator ends. */
function wayBack({ id, sandbox }: Bounty, creator: Node): WayBack {
  const description = `Reward of bounty ${id}, whose creator is here no more`;
  if (isBanned(creator)) return { type: 'CONFISCATION', description, to: vaultOf({ sandbox }) };
  if (!creator.active && sandbox) return { type: 'CONFISCATION', description, to: mint('TCK') };
  const to = wallet(creator.accountId, 'TCK');
  return { type: 'BOUNTY_REFUND', description: `Reward of bounty ${id}, given back`, to };
}
