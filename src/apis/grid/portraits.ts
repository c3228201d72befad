import { z } from 'zod';
import { GENESIS_SEATS, type Grid } from '../../domains/grid/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentFounder, presentNodePortrait, presentSkillPortrait } from './present-portrait.ts';
import { Amount, LOOK_LIMIT, Timestamp, Uuid } from './wire.ts';

const TAG = 'Grid: reputation';
const LevelShown = z.object({ id: z.int(), name: z.string(), emoji: z.string() });
const State = z
  .enum(['active', 'banned', 'sandbox', 'ended'])
  .meta({ description: '`ended` is a sandbox node whose time is over.' });

export const NodePortraitShown = z.object({
  node_id: z.string(),
  state: State,
  cri_score: z.number(),
  level: LevelShown,
  genesis: z.object({ is_genesis: z.boolean(), genesis_rank: z.int().nullable() }),
  stats: z.object({
    skills_published: z.int(),
    trades_completed: z.int().meta({ description: 'Settled sales.' }),
    tasks_bought: z.int(),
    unique_counterparties: z.int(),
    disputes: z.int(),
    strikes: z.int(),
  }),
  skills: z.array(z.object({ skill_id: Uuid, label: z.string(), price_tck: Amount })),
  member_since: Timestamp,
  page_url: z.url(),
  preview_url: z.url(),
});

export const SkillPortraitShown = z.object({
  skill_id: Uuid,
  label: z.string(),
  price_tck: Amount,
  category: z.string(),
  description: z.string(),
  metadata: z.record(z.string(), z.unknown()).meta({ description: 'All that its seller says of it.' }),
  seller: z.object({ node_id: z.string(), state: State, cri_score: z.number(), level: LevelShown }),
  stats: z.object({
    tasks_completed: z.int(),
    tasks_disputed: z.int(),
    dispute_rate_pct: z.number(),
    unique_buyers: z.int(),
    turnover_tck: Amount,
  }),
  published_at: Timestamp,
  page_url: z.url(),
  preview_url: z.url(),
});

export const FounderShown = z.object({
  rank: z.int(),
  node_id: z.string(),
  name: z.string().nullable(),
  cri_score: z.number(),
  level: LevelShown,
  trades_completed: z.int(),
  active: z.boolean(),
  awarded_at: Timestamp,
});
const FoundersShown = z.object({ genesis_nodes: z.array(FounderShown), slots_total: z.int(), slots_filled: z.int() });

type Domains = { grid: Grid; publicUrl: () => string };

export const portraitRoutes = ({ grid, publicUrl }: Domains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/nodes/:node_id/profile',
    tag: TAG,
    summary: 'What a node’s page shows',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    params: z.object({ node_id: z.string() }),
    fails: ['not_found'],
    replies: { 200: { description: 'The node', schema: NodePortraitShown } },
    handle: async (op, { params }) =>
      ok(presentNodePortrait(await grid.portraits.node(op, params.node_id), publicUrl())),
  }),
  route({
    method: 'GET',
    path: '/v1/skills/:skill_id/page',
    tag: TAG,
    summary: 'What a skill’s page shows',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    params: z.object({ skill_id: z.string() }),
    fails: ['not_found'],
    replies: { 200: { description: 'The skill', schema: SkillPortraitShown } },
    handle: async (op, { params }) =>
      ok(presentSkillPortrait(await grid.portraits.skill(op, params.skill_id), publicUrl())),
  }),
  route({
    method: 'GET',
    path: '/v1/genesis/leaderboard',
    tag: TAG,
    summary: 'The founders, with what became of them',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    replies: { 200: { description: 'The founders, the first one first', schema: FoundersShown } },
    handle: async () => {
      const founders = await grid.portraits.founders();
      return ok({
        genesis_nodes: founders.map(presentFounder),
        slots_total: GENESIS_SEATS,
        slots_filled: founders.length,
      } satisfies z.input<typeof FoundersShown>);
    },
  }),
];
