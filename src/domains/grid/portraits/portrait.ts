import type { Tck } from '../../../kernel/money.ts';
import type { OwnSkill, Skill } from '../market/skill.ts';
import type { Node } from '../nodes/node.ts';
import type { Rating } from '../reputation/certificate.ts';
import type { Level, Progress } from '../reputation/levels.ts';
import type { Award } from '../reputation/store.ts';

/** What everybody may see of a node, in one look. */
export type NodePortrait = Rating & {
  level: Level;
  /** Undefined on the last level. */
  progress: Progress | undefined;
  skills: readonly OwnSkill[];
};

/** What came of the tasks of a skill. Shadow tasks count for nothing. */
export type SkillRecord = {
  delivered: number;
  /** Of these: disputed, or given back by the operator. */
  disputed: number;
  /** Different nodes that have paid for it, and what all of them have paid. */
  buyers: number;
  turnover: Tck;
};

export type SkillPortrait = { skill: Skill; seller: Rating; level: Level; record: SkillRecord };

/** One that came first, with what became of it. */
export type Founder = Award & { active: boolean; cri: number; level: Level; sold: number };

/** Whether a node acts, and if not, why. */
export type Presence = 'active' | 'banned' | 'sandbox' | 'ended';

export function presenceOf({ active, sandbox }: Pick<Node, 'active' | 'sandbox'>): Presence {
  if (active) return sandbox ? 'sandbox' : 'active';
  return sandbox ? 'ended' : 'banned';
}

/** Per cent of its deliveries that were disputed, with one decimal. */
export const disputeRateOf = ({ delivered, disputed }: SkillRecord): number =>
  delivered === 0 ? 0 : Math.round((disputed / delivered) * 1_000) / 10;
