import { z } from 'zod';
import { Timestamp } from './wire.ts';

const State = z.enum(['ready', 'starting', 'resting', 'failed', 'unconfigured']).meta({
  description:
    'ready: its machine answers. resting: it has none, and is started by the next call. failed: the last try went wrong; the next call tries again. unconfigured: the operator has not set it up.',
});
const SkillId = z.string().meta({ examples: ['csv_parser'] });
const SkillName = z.string().meta({ examples: ['CSV Parser'] });
const Category = z.string().meta({ examples: ['data_processing'] });
const Price = z.number().meta({ examples: [0.3] });
const Endpoint = z.string().meta({ description: 'Where it is run.' });

export const SkillShown = z.object({
  id: SkillId,
  name: SkillName,
  description: z.string(),
  category: Category,
  price_tck: Price,
  endpoint: Endpoint,
  example_input: z.record(z.string(), z.unknown()),
  status: State,
  available: z.boolean(),
});
export const SkillsListed = z.object({
  skills: z.array(SkillShown),
  count: z.int(),
  categories: z.array(z.string()),
  timestamp: Timestamp,
});
export const HealthShown = z.object({
  skill_id: SkillId,
  skill_name: SkillName,
  healthy: z.boolean(),
  status: State,
  endpoint: Endpoint,
  checked_at: Timestamp,
});
export const Summary = z.object({
  total_skills: z.int(),
  healthy_skills: z.int(),
  health_percentage: z.number(),
  health_status: z.array(
    z.object({
      skill_id: SkillId,
      skill_name: SkillName,
      healthy: z.boolean(),
      status: State,
      category: Category,
      endpoint: Endpoint,
    }),
  ),
  timestamp: Timestamp,
});
export const Executed = z.object({
  success: z.boolean(),
  skill_id: SkillId,
  skill_name: SkillName,
  result: z.unknown(),
  error: z.string().optional(),
  details: z.string().optional(),
  executed_at: Timestamp,
  price_tck: Price,
  attempts: z.int(),
});
export const ExtendedHealth = z.object({
  status: z.enum(['ok', 'error']),
  database: z.enum(['connected', 'disconnected']),
  service: z.literal('freehold'),
  version: z.string().meta({ examples: ['0.1.0'] }),
  timestamp: z.string().meta({ examples: ['2026-03-18T12:00:00.000Z'] }),
  skills: Summary.nullable(),
});
