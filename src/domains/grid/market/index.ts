import { AppError } from '../../../kernel/errors.ts';
import { parseId, type NodeId } from '../../../kernel/ids.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { publish, type Offer } from './publish.ts';
import { findSkill, search, skillsOf, type MarketQuery } from './store.ts';

export type Market = ReturnType<typeof createMarket>;

/** What nodes offer one another. */
export function createMarket(world: GridWorld) {
  const { db } = world;
  return {
    publish: (op: NodeOp, offer: Offer) => publish(world, op, offer),
    /** One page of what fits, with what all of it costs. */
    browse: (query: MarketQuery) => search(db, query),
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
