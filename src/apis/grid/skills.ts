import { z } from 'zod';
import type { Grid } from '../../domains/grid/index.ts';
import type { Op } from '../../kernel/op.ts';
import { MINUTE } from '../../kernel/time.ts';
import { ok, route, type Answer, type Route } from '../contract.ts';
import { naive } from './present.ts';
import { presentExecution, presentHealth, presentSkill, presentSummary } from './present-skills.ts';
import { LOOK_LIMIT } from './wire.ts';
import { Executed, ExtendedHealth, HealthShown, SkillShown, SkillsListed, Summary } from './skills-wire.ts';

const TAG = 'Grid: skills of the house';
/** A document in base 64 is the largest that one is given. */
const MAX_INPUT_BYTES = 16_000_000;
/** A look at it may start the skill's machine. */
const PROBE_LIMIT = { name: 'skill-probe', max: 60, windowMs: MINUTE };
const RETRY_SECONDS = '5';

export type SkillsDomains = {
  grid: Grid;
  publicUrl: () => string;
  version: string;
  /** Throws where the database does not answer. */
  ping: () => Promise<void>;
};

const params = z.object({ skill_id: z.string().meta({ examples: ['csv_parser'] }) });

const list = ({ grid, publicUrl }: SkillsDomains): Route =>
  route({
    method: 'GET',
    path: '/api/v1/skills',
    tag: TAG,
    summary: 'The skills that the server itself runs',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    query: z.object({
      category: z.string().max(50).optional(),
      available_only: z.enum(['true', 'false']).default('false'),
    }),
    replies: { 200: { description: 'The skills', schema: SkillsListed } },
    handle: async (op, { query: { category, available_only: availableOnly } }) => {
      const wanted = grid.skills.all.filter((skill) => category === undefined || skill.category === category);
      const shown = await Promise.all(
        wanted.map(async (skill) => presentSkill(skill, await grid.skills.standing(op, skill.id), publicUrl())),
      );
      const skills = availableOnly === 'true' ? shown.filter(({ available }) => available) : shown;
      return ok({
        skills,
        count: skills.length,
        categories: [...new Set(grid.skills.all.map((skill) => skill.category))],
        timestamp: naive(op.now),
      } satisfies z.input<typeof SkillsListed>);
    },
  });

const summaryOf = async (op: Op, { grid, publicUrl }: SkillsDomains): Promise<z.input<typeof Summary>> => {
  const standings = await Promise.all(
    grid.skills.all.map(async (skill) => ({ skill, standing: await grid.skills.standing(op, skill.id) })),
  );
  return presentSummary(standings, publicUrl(), op.now);
};

const summary = (domains: SkillsDomains): Route =>
  route({
    method: 'GET',
    path: '/api/v1/skills/health/summary',
    tag: TAG,
    summary: 'How all skills of the server stand',
    description: 'A skill whose machine rests is started by its next call, and counts as healthy.',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    replies: { 200: { description: 'The summary', schema: Summary } },
    handle: async (op) => ok(await summaryOf(op, domains)),
  });

const one = ({ grid, publicUrl }: SkillsDomains): Route =>
  route({
    method: 'GET',
    path: '/api/v1/skills/:skill_id',
    tag: TAG,
    summary: 'One of the skills that the server runs',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    params,
    fails: ['not_found'],
    replies: { 200: { description: 'The skill', schema: SkillShown } },
    handle: async (op, { params: { skill_id: id } }) =>
      ok(presentSkill(grid.skills.find(id), await grid.skills.standing(op, id), publicUrl())),
  });

const health = ({ grid, publicUrl }: SkillsDomains): Route =>
  route({
    method: 'GET',
    path: '/api/v1/skills/:skill_id/health',
    tag: TAG,
    summary: 'Whether a skill works, which is tried',
    description:
      'Its machine is asked within two seconds. One that rests is started first, once a day at the most: until then `resting` is what worked when it was last tried, at `checked_at`.',
    access: 'public',
    addressLimit: PROBE_LIMIT,
    params,
    fails: ['not_found'],
    replies: { 200: { description: 'How it stands', schema: HealthShown } },
    handle: async (op, { params: { skill_id: id } }) =>
      ok(presentHealth(grid.skills.find(id), await grid.skills.probe(op, id), publicUrl())),
  });

const execute = ({ grid }: SkillsDomains): Route =>
  route({
    method: 'POST',
    path: '/api/v1/skills/:skill_id/execute',
    tag: TAG,
    summary: 'Run a skill',
    description:
      'For programs of the operator, with FREEHOLD_INTERNAL_KEY. The body is the skill’s input; each skill shows an example of it. `success` is false where the program cannot work with the input, and `details` says why. The price is told, and nobody is charged: who calls is no node.',
    access: 'public',
    secret: grid.skills.secret,
    params,
    body: z.record(z.string().max(100), z.unknown()).meta({ examples: [{ csv: 'name,born\nAda,1815\n' }] }),
    bodyLimit: MAX_INPUT_BYTES,
    fails: ['not_found', 'unauthenticated', 'unconfigured', 'at_capacity'],
    replies: {
      200: { description: 'What came of it', schema: Executed },
      504: { description: 'It took too long, three times', schema: z.object({ detail: z.string() }) },
    },
    handle: async (op, { params: { skill_id: id }, body }): Promise<Answer> => {
      const execution = await grid.skills.execute(op, id, body);
      if (execution.kind === 'timeout')
        return { status: 504, body: { detail: 'Skill timeout' }, headers: { 'retry-after': RETRY_SECONDS } };
      return ok(presentExecution(execution));
    },
  });

const extended = (domains: SkillsDomains): Route =>
  route({
    method: 'GET',
    path: '/health/extended',
    tag: TAG,
    summary: 'Whether the server works, and each of its skills',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    replies: {
      200: { description: 'It works', schema: ExtendedHealth },
      503: { description: 'The database does not answer', schema: ExtendedHealth },
    },
    handle: async (op): Promise<Answer> => {
      const { ping, version } = domains;
      const isConnected = await ping().then(
        () => true,
        () => false, // why it does not answer stands in the log of whoever asked it
      );
      const body: z.input<typeof ExtendedHealth> = {
        status: isConnected ? 'ok' : 'error',
        database: isConnected ? 'connected' : 'disconnected',
        service: 'freehold',
        version,
        timestamp: op.now.toISOString(),
        skills: isConnected ? await summaryOf(op, domains) : null,
      };
      return isConnected ? ok(body) : { status: 503, body, headers: { 'retry-after': RETRY_SECONDS } };
    },
  });

export const skillRoutes = (domains: SkillsDomains): Route[] => [
  list(domains),
  summary(domains),
  one(domains),
  health(domains),
  execute(domains),
  extended(domains),
];
