import { z } from 'zod';
import { asNumber, levelOf, progressOf, shortDecimals, type Grid } from '../../domains/grid/index.ts';
import { ok, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { presentProgress, ProgressShown } from './levels.ts';
import { Amount, Uuid } from './wire.ts';

const StatsShown = z.object({
  node_id: z.string(),
  skills_published: z.array(z.object({ id: Uuid, label: z.string(), price_tck: Amount, times_hired: z.int() })),
  total_tck_earned: Amount,
  dispute_rate: z.number().meta({ description: 'The share of what it delivered that stands disputed: 0 to 1.' }),
  cri: z.object({
    score: z.number(),
    settled_transactions: z.int(),
    unique_counterparties: z.int(),
    disputes: z.int(),
    strikes: z.int(),
    has_genesis_badge: z.boolean(),
  }),
  evolution: z.object({
    level_id: z.int(),
    level_name: z.string(),
    emoji: z.string(),
    tck_spent: z.number(),
    progress: ProgressShown.nullable(),
  }),
});

export const sellerRoutes = ({ grid }: { grid: Grid }): Route[] => [
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/seller/stats',
    tag: 'Grid: market',
    summary: 'How the business of this node goes',
    replies: { 200: { description: 'Its skills, what they have earned, and its standing', schema: StatsShown } },
    handle: async (op) => {
      const { skills, earned, disputeRate } = await grid.escrow.sellerStats(op);
      const { node, standing, cri } = await grid.reputation.rate(op, op.node);
      const level = levelOf(node.spent, cri.score);
      const progress = progressOf(level, node.spent, cri.score);
      return ok({
        node_id: node.id,
        skills_published: skills.map(({ id, label, price, timesHired }) => ({
          id,
          label,
          price_tck: shortDecimals(price),
          times_hired: timesHired,
        })),
        total_tck_earned: shortDecimals(earned),
        dispute_rate: disputeRate,
        cri: {
          score: cri.score,
          settled_transactions: standing.sold,
          unique_counterparties: standing.buyers,
          disputes: standing.disputed,
          strikes: node.strikes,
          has_genesis_badge: node.genesis !== undefined,
        },
        evolution: {
          level_id: level.id,
          level_name: level.name,
          emoji: level.emoji,
          tck_spent: asNumber(node.spent),
          progress: progress ? presentProgress(progress) : null,
        },
      } satisfies z.input<typeof StatsShown>);
    },
  }),
];
