import { z } from 'zod';
import { shortDecimals, type Grid, type Reported } from '../../domains/grid/index.ts';
import { HOUR } from '../../kernel/time.ts';
import { ok, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { Amount } from './wire.ts';

const REPORT_LIMIT = { name: 'grid-report', max: 3, windowMs: HOUR };
const MAX_ID_LENGTH = 200;

const ReportShown = z.union([
  z.object({
    status: z.enum(['STRIKE_LOGGED', 'REPORT_LOGGED']).meta({
      description: 'REPORT_LOGGED: it is kept and is no strike, for the reporter has not traded or was counted before.',
    }),
    current_strikes: z.int(),
  }),
  z.object({
    event: z.literal('PERMANENT_NODE_PURGE'),
    node_id: z.string(),
    confiscated_balance: Amount,
    status: z.literal('BANNED'),
  }),
]);

export const reportRoutes = ({ grid }: { grid: Grid }): Route[] => [
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/report/malfeasance',
    tag: 'Grid: reputation',
    summary: 'Report a node for malfeasance',
    description: 'A strike costs 15 points of the index; the third ends the node.',
    addressLimit: REPORT_LIMIT,
    idempotent: true,
    query: z.object({ node_id: z.string().min(1).max(MAX_ID_LENGTH) }),
    fails: ['not_found', 'invalid', 'forbidden'],
    replies: { 200: { description: 'What it came to', schema: ReportShown } },
    handle: async (op, { query }) => ok(present(await grid.reputation.report(op, query.node_id))),
  }),
];

function present(reported: Reported): z.input<typeof ReportShown> {
  if (reported.outcome === 'banned')
    return {
      event: 'PERMANENT_NODE_PURGE',
      node_id: reported.nodeId,
      confiscated_balance: shortDecimals(reported.confiscated),
      status: 'BANNED',
    };
  return {
    status: reported.outcome === 'struck' ? 'STRIKE_LOGGED' : 'REPORT_LOGGED',
    current_strikes: reported.strikes,
  };
}
