import { AppError, assert } from '../../../kernel/errors.ts';
import type { EscrowId, NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Op } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFacts } from '../../../platform/outbox.ts';
import { markOutdated } from '../reputation/store.ts';
import type { EscrowWorld } from './world.ts';
import { findAwards, genesisBonuses, payPioneers } from './award.ts';
import { insertDecisions } from './decision-store.ts';
import type { Decision } from './decision.ts';
import { splitOf, type Escrow, type EscrowEvent } from './escrow.ts';
import { escrowFact } from './facts.ts';
import { holdBack } from './hold.ts';
import { payment, refund, type Refund, type Release } from './money.ts';
import { ownersOf } from './owner-store.ts';
import { moveEscrows } from './store.ts';
import { followEscrows } from './task-store.ts';

/**
 * What moves money. Each verb takes those escrows that are where it starts from, and does nothing for the others: of two
 * that want one escrow, one gets it. What is due to a node that is banned stays where it is. Everything is locked in one
 * order: against bans whom the money goes to, then escrows, tasks, nodes, the ledger's accounts.
 */

/** `held`: how many stay where they are, because their money is due to a node that is banned. */
export type Moved = { moved: Escrow[]; held: number };

/** Pays the sellers, the vault and whom the sale makes a Genesis node or a pioneer. Answers what was paid for. */
export async function paySellers(
  world: EscrowWorld,
  tx: Tx,
  op: Op,
  { event, type, ids }: { event: Extract<EscrowEvent, 'settle' | 'release'>; type: Release; ids: readonly EscrowId[] },
): Promise<Moved> {
  if (ids.length === 0) return { moved: [], held: 0 };
  const { free, held } = await holdBack(tx, op, event, ids);
  const moves = [...free].map((id) => ({ id }));
  const escrows = (await moveEscrows(tx, event, moves, op.now)).toSorted(byDueTime);
  if (escrows.length === 0) return { moved: [], held };
  await followEscrows(tx, idsOf(escrows), 'SETTLED');
  await markOutdated(tx, nodesOf(escrows));
  const owners = await ownersOf(tx, nodesOf(escrows));
  const awards = await findAwards(tx, op, escrows);
  // Before the money, so that the vault's account, which every sale pays into, is held for as short as can be.
  await recordFacts(
    tx,
    op,
    escrows.map((escrow) => escrowFact('escrow.settled', escrow)),
  );
  const payments = escrows.map((escrow) => payment(type, escrow, owners));
  const outcomes = await world.ledger.transferAll(tx, op, [...payments, ...genesisBonuses(awards, owners)]);
  assert(!outcomes.includes('unaffordable'), 'an escrow has what was locked away in it');
  await payPioneers(world, tx, op, awards, owners);
  return { moved: escrows, held };
}

/** Why an escrow goes back to its buyer. */
export type Cause = Pick<Decision, 'rule' | 'details'> & { id: EscrowId };

/** Gives buyers their money back, each for its own cause. Answers what was given back. */
export async function refundBuyers(
  world: EscrowWorld,
  tx: Tx,
  op: Op,
  {
    event,
    type,
    causes,
  }: {
    event: Extract<EscrowEvent, 'time_out' | 'break_rule' | 'give_back'>;
    type: Refund;
    causes: readonly Cause[];
  },
): Promise<Moved> {
  if (causes.length === 0) return { moved: [], held: 0 };
  const { free, held } = await holdBack(
    tx,
    op,
    event,
    causes.map(({ id }) => id),
  );
  const moves = causes.filter(({ id }) => free.has(id)).map(({ id, rule }) => ({ id, reason: rule }));
  const escrows = await moveEscrows(tx, event, moves, op.now);
  if (escrows.length === 0) return { moved: [], held };
  await followEscrows(tx, idsOf(escrows), 'REFUNDED');
  await markOutdated(tx, nodesOf(escrows));
  const owners = await ownersOf(tx, nodesOf(escrows));
  const outcomes = await world.ledger.transferAll(
    tx,
    op,
    escrows.map((escrow) => refund(type, escrow, owners)),
  );
  assert(!outcomes.includes('unaffordable'), 'an escrow has what was locked away in it');
  const moved = new Set(idsOf(escrows));
  const decisions = causes
    .filter(({ id }) => moved.has(id))
    .map(({ id, rule, details }) => ({ escrowId: id, taskId: null, rule, details, action: 'AUTO_REFUND' as const }));
  await insertDecisions(tx, decisions, op.now);
  await recordFacts(
    tx,
    op,
    escrows.map((escrow) => escrowFact('escrow.refunded', escrow)),
  );
  return { moved: escrows, held };
}

export type Resolution = 'refund_buyer' | 'release_to_seller';
export type Resolved = { escrow: Escrow; payout: Tck; tax: Tck };

/** The operator's word on a disputed escrow. Throws `invalid` for one that is not disputed, and where a banned node would be paid. */
export async function resolveDispute(world: EscrowWorld, op: Op, escrow: Escrow, way: Resolution): Promise<Resolved> {
  return world.db.transact(async (tx) => {
    const { moved, held } =
      way === 'refund_buyer' ? await giveBack(world, tx, op, escrow) : await release(world, tx, op, escrow);
    if (held > 0) throw new AppError('invalid', 'This money is due to a node that is banned: review its reports first');
    const [resolved] = moved;
    if (!resolved) throw new AppError('invalid', 'Escrow is not in DISPUTED state');
    return { escrow: resolved, ...splitOf(resolved.amount) };
  });
}

const giveBack = (world: EscrowWorld, tx: Tx, op: Op, { id }: Escrow) =>
  refundBuyers(world, tx, op, {
    event: 'give_back',
    type: 'DISPUTE_REFUND',
    causes: [{ id, rule: 'MANUAL_RESOLUTION', details: { resolution: 'refund_buyer' } }],
  });

async function release(world: EscrowWorld, tx: Tx, op: Op, { id }: Escrow): Promise<Moved> {
  const released = await paySellers(world, tx, op, { event: 'release', type: 'DISPUTE_RELEASE', ids: [id] });
  await insertDecisions(
    tx,
    released.moved.map((escrow) => ({
      escrowId: escrow.id,
      taskId: null,
      rule: 'MANUAL_RESOLUTION' as const,
      details: { resolution: 'release_to_seller' },
      action: 'AUTO_SETTLE' as const,
    })),
    op.now,
  );
  return released;
}

export const taxOn = (escrows: readonly Escrow[]): Tck =>
  tck(escrows.reduce((sum, { amount }) => sum + splitOf(amount).tax, 0n));

const byDueTime = (a: Escrow, b: Escrow): number => (a.settleAt?.getTime() ?? 0) - (b.settleAt?.getTime() ?? 0);
const idsOf = (escrows: readonly Escrow[]): EscrowId[] => escrows.map(({ id }) => id);
const nodesOf = (escrows: readonly Escrow[]): NodeId[] => [
  ...new Set(escrows.flatMap(({ buyerId, sellerId }) => [buyerId, sellerId])),
];
