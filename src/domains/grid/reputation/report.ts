import { AppError } from '../../../kernel/errors.ts';
import { parseNodeId, type NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import { newId, type Op } from '../../../kernel/op.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import { recordFact } from '../../../platform/outbox.ts';
import { wallet } from '../../ledger/index.ts';
import { endBanned } from '../bounties/end.ts';
import { vaultOf } from '../money.ts';
import type { Node } from '../nodes/node.ts';
import { findNode } from '../nodes/store.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { MAX_STRIKES } from './cri.ts';
import { findReport, hasTradedApart, insertReport, wasHeard, type Report } from './report-store.ts';
import { ban, lockNode, strike } from './store.ts';

/** What a report came to: nothing but a note, a strike, or the end of the node. */
export type Reported =
  | { outcome: 'noted' | 'struck'; nodeId: NodeId; strikes: number }
  | { outcome: 'banned'; nodeId: NodeId; strikes: number; confiscated: Tck };

/**
 * Reports a node. Whether that is a strike, the operator's policy says; the third ends the node and its TCK goes to the
 * vault. Throws `not_found`, `invalid` (of itself, or of one that is banned), `forbidden` (sandbox against others).
 */
export async function report(world: GridWorld, op: NodeOp, text: string): Promise<Reported> {
  const id = parseNodeId(text);
  if (id === op.node.id) throw new AppError('invalid', 'Cannot report yourself');
  const accused = id && (await findNode(world.db, id));
  if (!accused) throw new AppError('not_found', 'Node not found');
  if (accused.sandbox !== op.node.sandbox)
    throw new AppError('forbidden', 'Sandbox nodes and production nodes cannot report each other');
  return world.db.transact(async (tx) => {
    const locked = await lockNode(tx, accused.id);
    const earlier = await findReport(tx, newId(op, 'report'));
    if (earlier) return outcomeOf(earlier);
    if (!locked?.active) throw new AppError('invalid', 'The node is banned already');
    const counted = await counts(world, tx, op.node, accused.id);
    const struck = counted
      ? await strikeOnce(world, tx, op, accused)
      : { strikes: locked.strikes, confiscated: undefined };
    const made: Report = {
      id: newId(op, 'report'),
      reporter: op.node.id,
      node: accused.id,
      counted,
      ...struck,
      verdict: undefined,
      at: op.now,
    };
    await insertReport(tx, made);
    await recordFact(tx, op, {
      type: 'node.reported',
      subject: accused.id,
      accountId: op.actor.accountId,
      data: { nodes: [accused.id, op.node.id], counted },
    });
    return outcomeOf(made);
  });
}

function outcomeOf({ node: nodeId, counted, strikes, confiscated }: Report): Reported {
  if (confiscated !== undefined) return { outcome: 'banned', nodeId, strikes, confiscated };
  return { outcome: counted ? 'struck' : 'noted', nodeId, strikes };
}

/**
 * Of reporters that have traded, and of each of them once, unless every report counts.
 *
 * A trade is one that was settled for money of worth; an account has one node, so its other side is always another
 * account's. One with somebody who has struck the same node is no history of one's own, so three that have dealt with
 * each other only do not end a node. Whoever goes to greater lengths is for the operator's review.
 */
async function counts({ settings }: GridWorld, db: Db, reporter: Node, accused: NodeId): Promise<boolean> {
  if (settings.reportPolicy === 'direct') return true;
  return !(await wasHeard(db, reporter.id, accused)) && (await hasTradedApart(db, reporter.id, accused));
}

export type Struck = Pick<Report, 'strikes' | 'confiscated'>;

/** One strike more; the third ends the node, its open bounties, and what it has. Its row is locked. */
export async function strikeOnce(world: GridWorld, tx: Tx, op: Op, accused: Node): Promise<Struck> {
  const struck = await strike(tx, accused.id);
  if (!struck) throw new AppError('invalid', 'The node is banned already');
  const { strikes } = struck;
  if (strikes < MAX_STRIKES) return { strikes, confiscated: undefined };
  await ban(tx, accused.id, op.now);
  // Bounties first: one that is being cancelled at this moment has its reward in the wallet when we have waited for it.
  const rewards = await endBanned(world, tx, op, accused.id);
  const confiscated = tck(rewards + (await confiscate(world, tx, op, accused)));
  await recordFact(tx, op, {
    type: 'node.banned',
    subject: accused.id,
    accountId: accused.accountId,
    data: { nodes: [accused.id], confiscated: String(confiscated) },
  });
  return { strikes, confiscated };
}

/** Who spends holds the node's row as we do, so what is there now is there when it moves. */
async function confiscate({ ledger }: GridWorld, tx: Tx, op: Op, accused: Node): Promise<Tck> {
  const { id, accountId } = accused;
  const { available } = await ledger.balance(tx, wallet(accountId, 'TCK'));
  if (available <= 0n) return tck(0n);
  await ledger.transfer(tx, op, {
    id: newId(op, 'transfer', `confiscation:${id}`),
    type: 'CONFISCATION',
    description: `Confiscated from ${id}, which is banned`,
    metadata: { reference: id, node: id },
    legs: [
      { account: wallet(accountId, 'TCK'), amount: tck(-available) },
      { account: vaultOf(accused), amount: available },
    ],
  });
  return available;
}
