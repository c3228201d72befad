import { z } from 'zod';
import { MAX_CANARY, nearestTck, type Grid, type NodeOp } from '../../domains/grid/index.ts';
import type { Tck } from '../../kernel/money.ts';
import { ok, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { presentCanary } from './present.ts';
import { Amount, givenAmount } from './wire.ts';

const TAG = 'Grid: nodes';
const SIGNED_NUMBER = /^-?\d{1,12}(\.\d{1,12})?$/;

const cap = givenAmount({ max: MAX_CANARY }).nullable().optional();
const Caps = z.object({
  max_spend_daily: cap.meta({ examples: [10] }),
  max_escrow_per_task: cap.meta({ examples: [2] }),
});
/** In a query nothing can be null: what is 0 or less removes the limit. */
const capInQuery = z
  .string()
  .regex(SIGNED_NUMBER, { error: 'must be a decimal number' })
  .transform(Number)
  .pipe(z.number().max(MAX_CANARY))
  .transform((amount): Tck | null => (nearestTck(amount) > 0n ? nearestTck(amount) : null))
  .optional();
const CapsInQuery = z.object({ max_spend_daily: capInQuery, max_escrow_per_task: capInQuery });

const CanaryShown = z.object({
  node_id: z.string(),
  canary: z.object({ max_spend_daily: Amount.nullable(), max_escrow_per_task: Amount.nullable() }),
});
const REPLIES = { 200: { description: 'What the node lets itself lock away', schema: CanaryShown } };

type Change = { max_spend_daily?: Tck | null | undefined; max_escrow_per_task?: Tck | null | undefined };

export function canaryRoutes({ grid }: { grid: Grid }): Route[] {
  const change = async (op: NodeOp, caps: Change) => {
    const canary = await grid.nodes.setCanary(op, { daily: caps.max_spend_daily, perTask: caps.max_escrow_per_task });
    return ok({ node_id: op.node.id, canary: presentCanary(canary) } satisfies z.input<typeof CanaryShown>);
  };
  return [
    nodeRoute(grid, {
      method: 'GET',
      path: '/v1/node/canary',
      tag: TAG,
      summary: 'The caller’s spending limits',
      replies: REPLIES,
      handle: async (op) => ok({ node_id: op.node.id, canary: presentCanary(op.node.canary) }),
    }),
    nodeRoute(grid, {
      method: 'PUT',
      path: '/v1/node/canary',
      tag: TAG,
      summary: 'Limit what the caller locks away',
      description: 'On one day (UTC), and at once. Null removes a limit, what is left out stays.',
      body: Caps,
      replies: REPLIES,
      handle: (op, { body }) => change(op, body),
    }),
    nodeRoute(grid, {
      method: 'POST',
      path: '/v1/nodes/me/canary',
      tag: TAG,
      summary: 'The same, in the query',
      description: '0 or less removes a limit.',
      keyOnly: true,
      query: CapsInQuery,
      replies: REPLIES,
      handle: (op, { query }) => change(op, query),
    }),
  ];
}
