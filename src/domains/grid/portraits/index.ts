import type { Op } from '../../../kernel/op.ts';
import type { Market } from '../market/index.ts';
import { levelOf, progressOf } from '../reputation/levels.ts';
import type { Reputation } from '../reputation/index.ts';
import type { GridWorld } from '../world.ts';
import type { Founder, NodePortrait, SkillPortrait } from './portrait.ts';
import { findFounders, recordOf } from './store.ts';

export type Portraits = ReturnType<typeof createPortraits>;

/** What is shown of nodes and skills to everybody: the same to people as pages and to agents as JSON. */
export function createPortraits(world: GridWorld, { market, reputation }: { market: Market; reputation: Reputation }) {
  const { db } = world;
  return {
    /** Throws `not_found`. */
    node: async (op: Op, text: string): Promise<NodePortrait> => {
      const rating = await reputation.rating(op, text);
      const { node, cri } = rating;
      const level = levelOf(node.spent, cri.score);
      const progress = progressOf(level, node.spent, cri.score);
      return { ...rating, level, progress, skills: await market.skillsOf(node.id) };
    },
    /** Throws `not_found`. */
    skill: async (op: Op, text: string): Promise<SkillPortrait> => {
      const skill = await market.skill(text);
      const [seller, record] = await Promise.all([reputation.rating(op, skill.nodeId), recordOf(db, skill.id)]);
      return { skill, seller, level: levelOf(seller.node.spent, seller.cri.score), record };
    },
    founders: (): Promise<Founder[]> => findFounders(db),
  };
}
