import type { ListingId, NodeId } from '../../../kernel/ids.ts';
import type { Tck } from '../../../kernel/money.ts';

/** What a node offers, at a price. */
export type Skill = {
  id: ListingId;
  nodeId: NodeId;
  type: SkillType;
  label: string;
  price: Tck;
  /** What the node says of it: category, schemas of input and output, validators. */
  metadata: Record<string, unknown>;
  createdAt: Date;
};

/** One of what a node offers, as its own page shows it. */
export type OwnSkill = Pick<Skill, 'id' | 'label' | 'price'>;

export const SKILL_TYPES = ['SKILL_OFFER', 'TASK_BOUNTY'] as const;
export type SkillType = (typeof SKILL_TYPES)[number];

export const MAX_LABEL_LENGTH = 200;
export const MAX_CATEGORY_LENGTH = 50;
/** Whole TCK. */
export const MAX_PRICE = 10_000;
/** Characters of its JSON. */
export const MAX_METADATA_LENGTH = 50_000;
/** Of one node; a listing costs a fee, so this is a bound and no quota. */
export const MAX_SKILLS = 1_000;
