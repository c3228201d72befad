import type { EscrowId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFacts } from '../../../platform/outbox.ts';
import { insertDecisions } from './decision-store.ts';
import { TRANSITIONS, type EscrowEvent, type EscrowState } from './escrow.ts';
import { heldFact } from './facts.ts';
import { keepHeld, payeesOf, type Due } from './hold-store.ts';

/** Events that move money. */
type MovingEvent = Exclude<EscrowEvent, 'deliver' | 'dispute'>;
type HeldBack = { free: Set<EscrowId>; held: number };

/**
 * Keeps back what is due to a node that is banned: it stays in its escrow, which is due again when the operator's review
 * has taken the ban back. Answers the escrows that nothing keeps back, and how many others there are.
 */
export async function holdBack(tx: Tx, op: Op, event: MovingEvent, ids: readonly EscrowId[]): Promise<HeldBack> {
  const { from, to } = TRANSITIONS[event];
  const all = await payeesOf(tx, ids, to === 'SETTLED' ? 'seller' : 'buyer');
  const banned = all.filter(({ isBanned }) => isBanned);
  if (banned.length > 0) await keep(tx, op, banned, from);
  return { free: new Set(all.filter(({ isBanned }) => !isBanned).map(({ id }) => id)), held: banned.length };
}

async function keep(tx: Tx, op: Op, banned: readonly Due[], from: EscrowState): Promise<void> {
  const added = new Set(await keepHeld(tx, banned, from));
  const held = banned.filter(({ id }) => added.has(id));
  const decisions = held.map(({ id, to: node }) => ({
    escrowId: id,
    taskId: null,
    rule: 'NODE_BANNED' as const,
    details: { held_for: node },
    action: 'HELD' as const,
  }));
  await insertDecisions(tx, decisions, op.now);
  await recordFacts(
    tx,
    op,
    held.map(({ id, to: node }) => heldFact(id, node)),
  );
}
