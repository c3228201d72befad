import { z } from 'zod';
import { PIONEER_BONUS, PIONEER_JOBS, PIONEER_SEATS, shortDecimals, type Grid } from '../../domains/grid/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { naive, zoned } from './present.ts';
import { Amount, LOOK_LIMIT, Timestamp } from './wire.ts';

/** What contracts tasks come by, as clients know them. */
const PROTOCOLS: Record<string, string> = { grid: 'api', mcp: 'mcp', a2a: 'a2a' };

const NetworkShown = z.object({
  overview: z.object({
    total_trades: z.int(),
    total_nodes: z.int(),
    total_skills: z.int(),
    protocols_active: z.array(z.string()),
    llm_providers_active: z.array(z.string()).meta({ description: 'What sellers work with is theirs to know: empty.' }),
  }),
  by_protocol: z.record(z.string(), z.int()),
  by_provider: z.record(z.string(), z.int()),
  generated_at: z.string(),
});
const PioneersShown = z.object({
  program: z.literal('Verifier Pioneer'),
  slots_total: z.int(),
  slots_filled: z.int(),
  slots_remaining: z.int(),
  bonus_tck: Amount,
  threshold_verifications: z.int(),
  pioneers: z.array(z.object({ rank: z.int(), node_id: z.string(), awarded_at: Timestamp })),
});

export const networkRoutes = ({ grid }: { grid: Grid }): Route[] => [
  route({
    method: 'GET',
    path: '/v1/network/stats',
    tag: 'Grid: market',
    summary: 'How much is going on',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    replies: { 200: { description: 'The figures', schema: NetworkShown } },
    handle: async (op) => {
      const { nodes, skills, byProtocol } = await grid.figures.network();
      const named = Object.entries(byProtocol).map(([via, count]) => [PROTOCOLS[via] ?? via, count] as const);
      return ok({
        overview: {
          total_trades: named.reduce((sum, [, count]) => sum + count, 0),
          total_nodes: nodes,
          total_skills: skills,
          protocols_active: named.map(([protocol]) => protocol),
          llm_providers_active: [],
        },
        by_protocol: Object.fromEntries(named),
        by_provider: {},
        generated_at: zoned(op.now),
      } satisfies z.input<typeof NetworkShown>);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/verifier-pioneers',
    tag: 'Grid: reputation',
    summary: 'The first verifiers',
    access: 'public',
    replies: { 200: { description: 'Who they are, and how many can still be', schema: PioneersShown } },
    handle: async () => {
      const pioneers = await grid.reputation.pioneers();
      return ok({
        program: 'Verifier Pioneer',
        slots_total: PIONEER_SEATS,
        slots_filled: pioneers.length,
        slots_remaining: PIONEER_SEATS - pioneers.length,
        bonus_tck: shortDecimals(PIONEER_BONUS),
        threshold_verifications: PIONEER_JOBS,
        pioneers: pioneers.map(({ rank, nodeId, at }) => ({ rank, node_id: nodeId, awarded_at: naive(at) })),
      } satisfies z.input<typeof PioneersShown>);
    },
  }),
];
