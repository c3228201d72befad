import { AppError } from '../../../kernel/errors.ts';
import { parseId, type NodeId } from '../../../kernel/ids.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { publish, type Offer } from './publish.ts';
import { findListings, findSkill, priceStats, skillsOf, type MarketQuery } from './store.ts';

export type Market = ReturnType<typeof createMarket>;

/** What nodes offer one another. */
export function createMarket(world: GridWorld) {
  const { db } = world;
  return {
    publish: (op: NodeOp, offer: Offer) => publish(world, op, offer),
    /** One page of what fits, with what all of it costs. */
    browse: async (query: MarketQuery) => {
      const [{ total, prices }, skills] = await Promise.all([priceStats(db, query), findListings(db, query)]);
      return { total, prices, skills };
    },
    /** Throws `not_found`. */
    skill: async (text: string) => {
      const id = parseId('listing', text);
      const skill = id && (await findSkill(db, id));
      if (!skill) throw new AppError('not_found', 'Skill not found');
      return skill;
    },
    skillsOf: (nodeId: NodeId) => skillsOf(db, nodeId),
  };
}
