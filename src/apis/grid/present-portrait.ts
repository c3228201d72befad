import type { z } from 'zod';
import {
  disputeRateOf,
  partnersOf,
  presenceOf,
  saidOf,
  shortDecimals,
  type Founder,
  type NodePortrait,
  type SkillPortrait,
} from '../../domains/grid/index.ts';
import type { FounderShown, NodePortraitShown, SkillPortraitShown } from './portraits.ts';
import { naive, presentLevel } from './present.ts';

const addresses = (page: string) => ({ page_url: page, preview_url: `${page}/preview.png` });

export const presentNodePortrait = (
  { node, standing, cri, level, skills }: NodePortrait,
  publicUrl: string,
): z.input<typeof NodePortraitShown> => ({
  node_id: node.id,
  state: presenceOf(node),
  cri_score: cri.score,
  level: presentLevel(level),
  genesis: { is_genesis: node.genesis !== undefined, genesis_rank: node.genesis?.rank ?? null },
  stats: {
    skills_published: skills.length,
    trades_completed: standing.sold,
    tasks_bought: standing.bought,
    unique_counterparties: partnersOf(standing),
    disputes: standing.disputed,
    strikes: node.strikes,
  },
  skills: skills.map(({ id, label, price }) => ({ skill_id: id, label, price_tck: shortDecimals(price) })),
  member_since: naive(node.createdAt),
  ...addresses(`${publicUrl}/nodes/${node.id}`),
});

export function presentSkillPortrait(
  { skill, seller, level, record }: SkillPortrait,
  publicUrl: string,
): z.input<typeof SkillPortraitShown> {
  const { category, description } = saidOf(skill);
  return {
    skill_id: skill.id,
    label: skill.label,
    price_tck: shortDecimals(skill.price),
    category,
    description,
    metadata: skill.metadata,
    seller: {
      node_id: seller.node.id,
      state: presenceOf(seller.node),
      cri_score: seller.cri.score,
      level: presentLevel(level),
    },
    stats: {
      tasks_completed: record.delivered - record.disputed,
      tasks_disputed: record.disputed,
      dispute_rate_pct: disputeRateOf(record),
      unique_buyers: record.buyers,
      turnover_tck: shortDecimals(record.turnover),
    },
    published_at: naive(skill.createdAt),
    ...addresses(`${publicUrl}/skills/${skill.id}`),
  };
}

export const presentFounder = (founder: Founder): z.input<typeof FounderShown> => ({
  rank: founder.rank,
  node_id: founder.nodeId,
  name: founder.name ?? null,
  cri_score: founder.cri,
  level: presentLevel(founder.level),
  trades_completed: founder.sold,
  active: founder.active,
  awarded_at: naive(founder.at),
});
