import { AppError, isAppError } from '../../../kernel/errors.ts';
import type { ListingId } from '../../../kernel/ids.ts';
import type { Tck } from '../../../kernel/money.ts';
import { newId } from '../../../kernel/op.ts';
import { recordFact } from '../../../platform/outbox.ts';
import { LISTING_FEE, vaultOf } from '../money.ts';
import { spend } from '../nodes/spend.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { MAX_METADATA_LENGTH, MAX_SKILLS, type Skill, type SkillType } from './skill.ts';
import { countSkillsOf, insertSkill } from './store.ts';

export type Offer = { type: SkillType; label: string; price: Tck; metadata: Record<string, unknown> };

/** Puts a skill on the market, for a fee. Throws `unaffordable`, `invalid`. */
export async function publish(world: GridWorld, op: NodeOp, offer: Offer): Promise<ListingId> {
  const { node } = op;
  if (JSON.stringify(offer.metadata).length > MAX_METADATA_LENGTH)
    throw new AppError('invalid', `metadata must be at most ${MAX_METADATA_LENGTH} characters of JSON`);
  const skill: Skill = { ...offer, id: newId(op, 'listing'), nodeId: node.id, createdAt: op.now };
  await world.db.transact(async (tx) => {
    if (!(await insertSkill(tx, skill))) return;
    if ((await countSkillsOf(tx, node.id)) > MAX_SKILLS)
      throw new AppError('invalid', `A node can offer ${MAX_SKILLS} skills`);
    await spend(world, tx, op, node, {
      id: newId(op, 'transfer', 'listing fee'),
      type: 'LISTING_FEE',
      amount: LISTING_FEE,
      to: vaultOf(node),
      description: `Listing fee of skill ${skill.id}`,
      metadata: { reference: skill.id, node: node.id },
    }).catch(inWordsOfTheMarket);
    await recordFact(tx, op, {
      type: 'skill.published',
      subject: skill.id,
      accountId: op.actor.accountId,
      data: { nodes: [node.id], label: skill.label, price: String(skill.price) },
    });
  });
  return skill.id;
}

function inWordsOfTheMarket(error: unknown): never {
  if (isAppError(error, 'unaffordable'))
    throw new AppError('unaffordable', 'Insufficient funds for publishing fee', { cause: error });
  throw error;
}
