import { AppError } from '../../../kernel/errors.ts';
import { parseNodeId, type EscrowId, type NodeId } from '../../../kernel/ids.ts';
import type { Tck } from '../../../kernel/money.ts';
import { newId } from '../../../kernel/op.ts';
import { after } from '../../../kernel/time.ts';
import type { Db } from '../../../platform/db.ts';
import { recordFacts } from '../../../platform/outbox.ts';
import { HOUSE, type Node } from '../nodes/node.ts';
import { findNode } from '../nodes/store.ts';
import type { NodeOp } from '../world.ts';
import type { EscrowWorld } from './world.ts';
import { PENDING_TIMEOUT_MS, type Escrow } from './escrow.ts';
import { escrowFact } from './facts.ts';
import { lockAway } from './money.ts';
import { isParty } from './task.ts';
import { findEscrow, findEscrowByKey, insertEscrow } from './store.ts';

export type EscrowOrder = { sellerId: string; amount: Tck; idempotencyKey?: string | undefined };
export type Opened = { escrow: Escrow; replayed: boolean };

/** Locks the caller's money away for another node. */
export async function openEscrow(world: EscrowWorld, op: NodeOp, order: EscrowOrder): Promise<Opened> {
  const { db } = world;
  const { amount, idempotencyKey } = order;
  const earlier = await findEarlier(db, op, idempotencyKey);
  if (earlier) return replay(earlier, order);
  const seller = await sellerFor(db, op.node, parseNodeId(order.sellerId));
  const escrow: Escrow = {
    id: newId(op, 'escrow'),
    buyerId: op.node.id,
    sellerId: seller.id,
    amount,
    state: 'PENDING',
    sandbox: op.node.sandbox,
    proofHash: null,
    reason: null,
    refundAt: after(op.now, PENDING_TIMEOUT_MS),
    settleAt: null,
    settledAt: null,
    createdAt: op.now,
  };
  const made = await db.transact(async (tx) => {
    if (!(await insertEscrow(tx, { ...escrow, idempotencyKey, ruled: false }))) return false;
    await lockAway(world, tx, op, op.node, escrow);
    await recordFacts(tx, op, [escrowFact('escrow.locked', escrow)]);
    return true;
  });
  if (made) return { escrow, replayed: false };
  // Somebody else was quicker with the same key.
  const other = await findEarlier(db, op, idempotencyKey);
  if (!other) throw new AppError('conflict', 'This escrow is being opened');
  return replay(other, order);
}

const findEarlier = async (db: Db, op: NodeOp, key: string | undefined): Promise<Escrow | undefined> =>
  (key !== undefined ? await findEscrowByKey(db, op.node.id, key) : undefined) ??
  (op.seed ? await findEscrow(db, newId(op, 'escrow')) : undefined);

function replay(escrow: Escrow, order: EscrowOrder): Opened {
  if (escrow.sellerId !== order.sellerId || escrow.amount !== order.amount)
    throw new AppError('conflict', 'This idempotency_key was used for another escrow');
  return { escrow, replayed: true };
}

/** The node that is to be paid. Throws what a buyer may not do with it. */
export async function sellerFor(db: Db, buyer: Node, id: NodeId | undefined): Promise<Node> {
  if (buyer.id === id) throw new AppError('invalid', 'Self-trade not allowed');
  const seller = id && (await findNode(db, id));
  if (!seller?.active) throw new AppError('not_found', 'Seller not found');
  if (buyer.sandbox && !seller.sandbox && !HOUSE.includes(seller.id))
    throw new AppError('forbidden', 'Sandbox nodes cannot trade with production nodes');
  if (!buyer.sandbox && seller.sandbox)
    throw new AppError('forbidden', 'Production nodes cannot trade with sandbox nodes');
  return seller;
}

/** An escrow as its parties see it; for all others it is not there. */
export async function partyEscrow(db: Db, op: NodeOp, id: EscrowId | undefined): Promise<Escrow> {
  const escrow = id && (await findEscrow(db, id));
  if (!escrow || !isParty(escrow, op.node.id)) throw new AppError('not_found', 'Escrow not found');
  return escrow;
}
