import { z } from 'zod';
import {
  asNumber,
  LEAST_LEVEL,
  levelOf,
  LEVELS,
  progressOf,
  type Grid,
  type Progress,
} from '../../domains/grid/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { LOOK_LIMIT, offset, wholeNumber } from './wire.ts';

const TAG = 'Grid: reputation';
const MAX_PAGE = 100;
const USUAL_PAGE = 20;
const HUNDRED = 100;

const LevelShown = z.object({
  id: z.int(),
  name: z.string(),
  emoji: z.string(),
  tck_spent_required: z.number(),
  cri_min_required: z.number(),
});
export const ProgressShown = z.object({
  next_level: z.string(),
  tck_needed: z.number(),
  cri_needed: z.number(),
  tck_progress: z.number().meta({ description: 'Per cent.' }),
  cri_met: z.boolean(),
});
const NodeLevel = z.object({
  node_id: z.string(),
  level_id: z.int(),
  level_name: z.string(),
  emoji: z.string(),
  tck_spent: z.number(),
  cri: z.number(),
  progress: ProgressShown.nullable(),
  capabilities: z.object({
    can_post_bounty: z.boolean(),
    can_submit_bounty: z.boolean(),
    can_create_escrow: z.boolean(),
    can_publish_skill: z.boolean(),
  }),
});
const Leader = z.object({
  node_id: z.string(),
  level_id: z.int(),
  level_name: z.string(),
  emoji: z.string(),
  tck_spent: z.number(),
  cri: z.number(),
  has_genesis_badge: z.boolean(),
});
const Leaderboard = z.object({
  leaderboard: z.array(Leader),
  total: z.int(),
  limit: z.int(),
  offset: z.int(),
});

export const levelRoutes = ({ grid }: { grid: Grid }): Route[] => [
  route({
    method: 'GET',
    path: '/v1/levels',
    tag: TAG,
    summary: 'The levels, and what they take',
    access: 'public',
    replies: { 200: { description: 'The levels', schema: z.object({ levels: z.array(LevelShown) }) } },
    handle: async () =>
      ok({
        levels: LEVELS.map(({ id, name, emoji, spent, cri }) => ({
          id,
          name,
          emoji,
          tck_spent_required: asNumber(spent),
          cri_min_required: cri,
        })),
      }),
  }),
  route({
    method: 'GET',
    path: '/v1/nodes/:node_id/level',
    tag: TAG,
    summary: 'A node’s level, and what it may do',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    params: z.object({ node_id: z.string() }),
    fails: ['not_found'],
    replies: { 200: { description: 'The level', schema: NodeLevel } },
    handle: async (op, { params }) => {
      const { node, cri } = await grid.reputation.rating(op, params.node_id);
      const level = levelOf(node.spent, cri.score);
      const progress = progressOf(level, node.spent, cri.score);
      return ok({
        node_id: node.id,
        level_id: level.id,
        level_name: level.name,
        emoji: level.emoji,
        tck_spent: asNumber(node.spent),
        cri: cri.score,
        progress: progress ? presentProgress(progress) : null,
        capabilities: {
          can_post_bounty: level.id >= LEAST_LEVEL.postBounty,
          can_submit_bounty: level.id >= LEAST_LEVEL.submitToBounty,
          can_create_escrow: level.id >= LEAST_LEVEL.createEscrow,
          can_publish_skill: level.id >= LEAST_LEVEL.publishSkill,
        },
      } satisfies z.input<typeof NodeLevel>);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/leaderboard',
    tag: TAG,
    summary: 'Who has come furthest',
    description: 'By level, and then by TCK spent.',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    query: z.object({ limit: wholeNumber({ min: 1, max: MAX_PAGE }).default(USUAL_PAGE), offset }),
    replies: { 200: { description: 'One page', schema: Leaderboard } },
    handle: async (_op, { query }) => {
      const { rows, total } = await grid.reputation.leaders(query);
      const leaderboard = rows.map(({ id, spent, cri, genesis }): z.input<typeof Leader> => {
        const level = levelOf(spent, cri);
        return {
          node_id: id,
          level_id: level.id,
          level_name: level.name,
          emoji: level.emoji,
          tck_spent: asNumber(spent),
          cri,
          has_genesis_badge: genesis,
        };
      });
      return ok({ leaderboard, total, ...query });
    },
  }),
];

export const presentProgress = ({ next, missing, share, criMet }: Progress): z.input<typeof ProgressShown> => ({
  next_level: next.name,
  tck_needed: asNumber(missing),
  cri_needed: next.cri,
  tck_progress: Math.floor(share * HUNDRED * 10) / 10,
  cri_met: criMet,
});
