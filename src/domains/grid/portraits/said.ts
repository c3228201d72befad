import type { Skill } from '../market/skill.ts';

/** What a seller says of a skill, as people read it. */
export type Said = {
  category: string;
  description: string;
  version: string;
  /** What it takes and gives, as JSON Schemas; undefined where nothing is said. */
  input: unknown;
  output: unknown;
  /** How many validators a delivery has to pass. */
  checks: number;
};

const USUAL_CATEGORY = 'general';
const textOf = (value: unknown): string => (typeof value === 'string' ? value.trim() : '');

/** Reads the metadata of a skill, which may be anything. What has another shape says nothing. */
export const saidOf = ({ metadata }: Pick<Skill, 'metadata'>): Said => ({
  category: textOf(metadata['category']) || USUAL_CATEGORY,
  description: textOf(metadata['description']),
  version: textOf(metadata['version']),
  input: metadata['input_schema'] ?? undefined,
  output: metadata['output_schema'] ?? undefined,
  checks: Array.isArray(metadata['validators']) ? metadata['validators'].length : 0,
});
