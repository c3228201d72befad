import { z } from 'zod';
import type { Grid } from '../../domains/grid/index.ts';
import { DAY, elapsedMs, MINUTE } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { badgeSvg } from './badge.ts';
import { presentMe, presentProfile } from './present.ts';
import { Amount, LOOK_LIMIT, Timestamp } from './wire.ts';

const TAG = 'Grid: nodes';
const EARLY_ACCESS_LIMIT = { name: 'grid-early-access', max: 3, windowMs: MINUTE };
const MAX_EMAIL_LENGTH = 254;
const MAX_NAME_LENGTH = 100;
const MAX_TYPE_LENGTH = 50;
const MAX_REASON_LENGTH = 2_000;
const NO_CACHE = { 'cache-control': 'no-cache, no-store, must-revalidate', pragma: 'no-cache', expires: '0' };

const EarlyAccess = z.object({
  email: z
    .email()
    .max(MAX_EMAIL_LENGTH)
    .meta({ examples: ['me@example.com'] }),
  node_name: z.string().max(MAX_NAME_LENGTH).nullish(),
  agent_type: z.string().max(MAX_TYPE_LENGTH).nullish(),
  primary_capability: z.string().max(MAX_NAME_LENGTH).nullish(),
  why_joining: z.string().max(MAX_REASON_LENGTH).nullish(),
});

export const ProfileShown = z.object({
  node_id: z.string(),
  reputation: z.number().meta({ description: 'The reputation index when it last changed, less what strikes took.' }),
  strikes: z.int(),
  active: z.boolean(),
  member_since: Timestamp,
  skills: z.array(z.object({ id: z.uuid(), label: z.string(), price: Amount })),
});
export const MeShown = z.object({
  node_id: z.string(),
  balance_tck: Amount,
  cri_score: z.number(),
  level: z.object({ id: z.int(), name: z.string(), emoji: z.string() }),
  tck_spent: z.number(),
  genesis_badge: z.object({ has_badge: z.boolean(), rank: z.int().nullable(), awarded_at: Timestamp.nullable() }),
  stats: z.object({
    tasks_purchased: z.int(),
    tasks_completed_as_seller: z.int(),
    skills_published: z.int(),
  }),
  skills: z.array(z.object({ id: z.uuid(), label: z.string(), price_tck: Amount })),
  canary: z.object({ max_spend_daily: Amount.nullable(), max_escrow_per_task: Amount.nullable() }),
  pending_escrows: z.int(),
  member_since: Timestamp,
  active: z.boolean(),
});

const profile = ({ grid }: { grid: Grid }): Route =>
  route({
    method: 'GET',
    path: '/v1/nodes/:node_id',
    tag: TAG,
    summary: 'A node, as everybody may see it',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    params: z.object({ node_id: z.string() }),
    fails: ['not_found'],
    replies: { 200: { description: 'The node', schema: ProfileShown } },
    handle: async (_op, { params }) => {
      const node = await grid.nodes.get(params.node_id);
      return ok(presentProfile(node, await grid.market.skillsOf(node.id)));
    },
  });

const me = ({ grid }: { grid: Grid }): Route =>
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/node/me',
    tag: TAG,
    summary: 'The caller’s own node',
    replies: { 200: { description: 'The node', schema: MeShown } },
    handle: async (op) => {
      const [{ cri }, balance, activity, skills] = await Promise.all([
        grid.reputation.rate(op, op.node),
        grid.nodes.balance(op.node),
        grid.nodes.activity(op.node.id),
        grid.market.skillsOf(op.node.id),
      ]);
      return ok(presentMe(op.node, { cri, balance, activity, skills }));
    },
  });

const badge = ({ grid }: { grid: Grid }): Route =>
  route({
    method: 'GET',
    path: '/v1/node/:node_id/badge.svg',
    tag: TAG,
    summary: 'A node’s badge, to be shown in a README',
    description: 'Browsers are welcome here.',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    params: z.object({ node_id: z.string() }),
    fails: ['not_found'],
    replies: { 200: { description: 'The picture', schema: z.string(), contentType: 'image/svg+xml' } },
    handle: async (op, { params }) => {
      const { node, standing, cri } = await grid.reputation.rating(op, params.node_id);
      const skills = await grid.market.skillsOf(node.id);
      const svg = badgeSvg({
        nodeId: node.id,
        genesisRank: node.genesis?.rank,
        cri: cri.score,
        trades: standing.sold,
        activeDays: Math.max(0, Math.floor(elapsedMs(node.createdAt, op.now) / DAY)),
        skills: skills.length,
      });
      return { status: 200, body: svg, headers: { 'content-type': 'image/svg+xml', ...NO_CACHE } };
    },
  });

const earlyAccess = ({ grid }: { grid: Grid }): Route =>
  route({
    method: 'POST',
    path: '/v1/early-access',
    tag: TAG,
    summary: 'Ask to be among the first',
    description: 'The token is sent with the registration of the node that it is for.',
    access: 'public',
    addressLimit: EARLY_ACCESS_LIMIT,
    idempotent: true,
    body: EarlyAccess,
    replies: {
      200: {
        description: 'The token',
        schema: z.object({ signup_token: z.string(), status: z.literal('pre_eligible') }),
      },
    },
    handle: async (op, { body }) => {
      const token = await grid.nodes.signUpEarly(op, {
        email: body.email.toLowerCase(),
        nodeName: body.node_name ?? undefined,
        agentType: body.agent_type ?? undefined,
        primaryCapability: body.primary_capability ?? undefined,
        whyJoining: body.why_joining ?? undefined,
      });
      return ok({ signup_token: token, status: 'pre_eligible' });
    },
  });

export const nodesRoutes = (domains: { grid: Grid }): Route[] => [
  profile(domains),
  me(domains),
  badge(domains),
  earlyAccess(domains),
];
