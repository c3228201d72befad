import { z } from 'zod';
import { ANALYTICS_PERIODS, type Grid } from '../../domains/grid/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentAnalytics } from './present-analytics.ts';

const TAG = 'Grid: operator';

const Day = z.iso.date().meta({ examples: ['2026-03-18'] });
const Rate = z.number().meta({ description: 'From 0 to 1; of nothing it is 0.' });
const Count = z.int();
const Tck = z.number().meta({ description: 'TCK.', examples: [4.85] });

export const AnalyticsShown = z.object({
  period: z.enum(ANALYTICS_PERIODS),
  range: z.object({ start: Day, end: Day }),
  nodes: z.object({
    total: Count,
    new: Count,
    sandbox_total: Count,
    sandbox_new: Count,
    active_buyers: Count,
    active_sellers: Count,
    by_country: z
      .array(z.object({ country: z.string(), count: Count }))
      .meta({ description: 'Empty: nobody is asked where they live.' }),
  }),
  tasks: z.object({
    created: Count,
    completed: Count,
    completion_rate: Rate,
    by_protocol: z.record(z.string(), Count),
    by_provider: z.record(z.string(), Count).meta({ description: 'Empty: nodes do not tell which model they use.' }),
    top_skills: z.array(z.object({ skill: z.string(), count: Count })),
  }),
  economy: z.object({
    gmv_tck: Tck,
    tax_collected_tck: Tck,
    vault_balance_tck: Tck,
    settled: Count,
    refunded: Count,
    disputed: Count,
    settle_rate: Rate,
  }),
  skills: z.object({ total: Count, published_in_period: Count }),
  genesis: z.object({ filled: Count, total_slots: Count, fill_rate: Rate }),
  funnel: z.object({
    sandbox_trades: Count,
    registrations: Count,
    first_trades: Count,
    sandbox_to_register: Count.meta({
      description:
        'Sandbox nodes of the period with whose key a node was registered since. Who does not show it is not known.',
    }),
    conversion_sandbox_to_register: Rate,
    conversion_register_to_trade: Rate,
  }),
  cri: z.union([
    z.object({
      snapshots: Count,
      avg_components: z.record(z.string(), z.number()),
      avg_cri: z.number(),
      min_cri: z.number(),
      max_cri: z.number(),
    }),
    z.strictObject({}),
  ]),
  daily_trend: z.array(z.object({ date: Day, active_nodes: Count, tasks: Count, tck_volume: Tck })),
});
const SnapshotShown = z.object({ date: Day, rows: Count.meta({ description: 'Nodes that did something today.' }) });

export const analyticsRoutes = ({ grid }: { grid: Grid }): Route[] => [
  route({
    method: 'GET',
    path: '/v1/admin/analytics',
    tag: TAG,
    summary: 'How a period went on the grid',
    description:
      'Days are those of UTC, today as it is now. Sandbox nodes only play, and are in none of the figures but their own. The trend is of the last 30 days.',
    access: 'admin',
    query: z.object({ period: z.enum(ANALYTICS_PERIODS).default('today') }),
    replies: { 200: { description: 'The figures', schema: AnalyticsShown } },
    handle: async (op, { query }) => ok(presentAnalytics(await grid.figures.analytics(op, query.period))),
  }),
  route({
    method: 'POST',
    path: '/v1/admin/analytics/snapshot',
    tag: TAG,
    summary: 'Write down the figures of today, so far',
    description: 'The server does so by itself while a day lasts, and once more when it is over.',
    access: 'admin',
    replies: { 200: { description: 'They are written down', schema: SnapshotShown } },
    handle: async (op) => {
      const { day, nodes } = await grid.figures.takeDay(op);
      return ok({ date: day, rows: nodes } satisfies z.input<typeof SnapshotShown>);
    },
  }),
];
