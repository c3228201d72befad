import { z } from 'zod';
import { nearestTck, type Grid } from '../../domains/grid/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import {
  Awarded,
  AwardWish,
  BountyList,
  BountyMade,
  BountyQuery,
  BountyShown,
  BountyWish,
  Cancelled,
  Expired,
  SubmissionMade,
  SubmissionsQuery,
  SubmissionWish,
} from './bounty-wire.ts';
import {
  presentAward,
  presentBounty,
  presentCancellation,
  presentMade,
  presentSubmission,
  presentSummary,
} from './present-bounty.ts';
import { naive } from './present.ts';
import { LOOK_LIMIT } from './wire.ts';

const TAG = 'Grid: bounties';
const CREATE_LIMIT = { name: 'grid-bounties', max: 10, windowMs: MINUTE };
const BountyParams = z.object({ bounty_id: z.string() });

export const bountyRoutes = (grid: Grid): Route[] => [
  ...lookRoutes(grid),
  ...offerRoutes(grid),
  ...endRoutes(grid),
  expireRoute(grid),
];

const lookRoutes = ({ bounties }: Grid): Route[] => [
  route({
    method: 'GET',
    path: '/v1/bounties',
    tag: TAG,
    summary: 'Look for bounties',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    query: BountyQuery,
    replies: { 200: { description: 'A page of them', schema: BountyList } },
    handle: async (_op, { query }) => {
      const { status, min_reward: least, ...rest } = query;
      const minReward = least === undefined ? undefined : nearestTck(least);
      const found = await bounties.search({ ...rest, state: status, minReward });
      return ok({
        bounties: found.bounties.map(presentSummary),
        total: found.total,
        limit: query.limit,
        offset: query.offset,
      } satisfies z.input<typeof BountyList>);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/bounties/:bounty_id',
    tag: TAG,
    summary: 'A bounty with what was handed in for it, newest first',
    description: 'With a credential also what is sealed for others and not for you.',
    access: 'public',
    recognises: true,
    addressLimit: LOOK_LIMIT,
    params: BountyParams,
    query: SubmissionsQuery,
    fails: ['not_found'],
    replies: { 200: { description: 'The bounty', schema: BountyShown } },
    handle: async (op, { params, query }) => {
      const page = { limit: query.submissions_limit, offset: query.submissions_offset };
      const { bounty, submissions } = await bounties.describe(op, params.bounty_id, page);
      return ok(presentBounty(bounty, submissions));
    },
  }),
];

const offerRoutes = (grid: Grid): Route[] => [
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/bounties',
    tag: TAG,
    summary: 'Offer a reward',
    description: 'It is put aside at once. Where the operator enforces levels, from level 2 on.',
    idempotent: true,
    nodeLimit: CREATE_LIMIT,
    body: BountyWish,
    fails: ['invalid', 'unaffordable', 'forbidden'],
    replies: { 200: { description: 'The bounty', schema: BountyMade } },
    handle: async (op, { body }) => {
      const { title, description, reward_tck: reward, category, sealed } = body;
      const [tags, deadlineDays] = [body.tags ?? [], body.deadline_days ?? undefined];
      const wish = { title, description, reward, category, sealed, tags, deadlineDays };
      return ok(presentMade(await grid.bounties.create(op, wish)));
    },
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/bounties/:bounty_id/submissions',
    tag: TAG,
    summary: 'Hand in a solution',
    description: 'One at a time for each node. Where the operator enforces levels, from level 1 on.',
    idempotent: true,
    params: BountyParams,
    body: SubmissionWish,
    fails: ['invalid', 'forbidden', 'not_found'],
    replies: { 200: { description: 'It waits to be looked at', schema: SubmissionMade } },
    handle: async (op, { params, body }) => {
      const wish = {
        content: body.content,
        proofUrl: body.proof_url ?? undefined,
        skillId: body.skill_id ?? undefined,
      };
      return ok(presentSubmission(await grid.bounties.submit(op, params.bounty_id, wish)));
    },
  }),
];

const endRoutes = (grid: Grid): Route[] => [
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/bounties/:bounty_id/award',
    tag: TAG,
    summary: 'Accept a submission',
    description: 'Its solver has the reward less 3 % tax; the others are rejected.',
    idempotent: true,
    params: BountyParams,
    body: AwardWish,
    fails: ['invalid', 'forbidden', 'not_found'],
    replies: { 200: { description: 'It is awarded', schema: Awarded } },
    handle: async (op, { params, body }) =>
      ok(presentAward(await grid.bounties.award(op, params.bounty_id, body.submission_id))),
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/bounties/:bounty_id/cancel',
    tag: TAG,
    summary: 'Take a bounty back',
    idempotent: true,
    params: BountyParams,
    fails: ['invalid', 'forbidden', 'not_found'],
    replies: { 200: { description: 'You have the reward again', schema: Cancelled } },
    handle: async (op, { params }) => ok(presentCancellation(await grid.bounties.cancel(op, params.bounty_id))),
  }),
];

const expireRoute = ({ bounties }: Grid): Route =>
  route({
    method: 'POST',
    path: '/v1/admin/bounties/expire',
    tag: TAG,
    summary: 'Expire bounties whose deadline has come',
    description: 'The server does so by itself; this does it now.',
    access: 'admin',
    replies: { 200: { description: 'How many there were', schema: Expired } },
    handle: async (op) => {
      const { expired, failed } = await bounties.expireDue(op);
      return ok({ status: 'OK', expired, failed, timestamp: naive(op.now) } satisfies z.input<typeof Expired>);
    },
  });
