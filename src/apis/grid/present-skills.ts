import type { z } from 'zod';
import {
  asNumber,
  isAvailable,
  type Execution,
  type HouseSkill,
  type Probe,
  type Standing,
} from '../../domains/grid/index.ts';
import { naive } from './present.ts';
import type { Executed, HealthShown, SkillShown, Summary } from './skills-wire.ts';

/** From the house's skills to the sheet's JSON: pure functions. */

const endpointOf = ({ id }: HouseSkill, publicUrl: string): string => `${publicUrl}/api/v1/skills/${id}/execute`;

export const presentSkill = (skill: HouseSkill, standing: Standing, publicUrl: string): z.input<typeof SkillShown> => ({
  id: skill.id,
  name: skill.name,
  description: skill.description,
  category: skill.category,
  price_tck: asNumber(skill.price),
  endpoint: endpointOf(skill, publicUrl),
  example_input: skill.example,
  status: standing,
  available: isAvailable(standing),
});

export const presentHealth = (
  skill: HouseSkill,
  { standing, triedAt }: Probe,
  publicUrl: string,
): z.input<typeof HealthShown> => ({
  skill_id: skill.id,
  skill_name: skill.name,
  healthy: isAvailable(standing),
  status: standing,
  endpoint: endpointOf(skill, publicUrl),
  checked_at: naive(triedAt),
});

const PERCENT = 100;

export function presentSummary(
  standings: readonly { skill: HouseSkill; standing: Standing }[],
  publicUrl: string,
  at: Date,
): z.input<typeof Summary> {
  const healthy = standings.filter(({ standing }) => isAvailable(standing)).length;
  return {
    total_skills: standings.length,
    healthy_skills: healthy,
    health_percentage: (healthy / standings.length) * PERCENT,
    health_status: standings.map(({ skill, standing }) => ({
      skill_id: skill.id,
      skill_name: skill.name,
      healthy: isAvailable(standing),
      status: standing,
      category: skill.category,
      endpoint: endpointOf(skill, publicUrl),
    })),
    timestamp: naive(at),
  };
}

export const presentExecution = (execution: Exclude<Execution, { kind: 'timeout' }>): z.input<typeof Executed> => ({
  success: execution.kind === 'done',
  skill_id: execution.skill.id,
  skill_name: execution.skill.name,
  result: execution.kind === 'done' ? execution.result : null,
  ...(execution.kind === 'refused' && {
    error: `Skill returned status ${execution.status}`,
    details: execution.details,
  }),
  executed_at: naive(execution.endedAt),
  price_tck: asNumber(execution.skill.price),
  attempts: execution.attempts,
});
