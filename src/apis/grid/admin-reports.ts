import { z } from 'zod';
import { shortDecimals, type Grid, type Report, type Reviewed } from '../../domains/grid/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { naive } from './present.ts';
import { Amount, offset, Timestamp, Uuid, wholeNumber } from './wire.ts';

const TAG = 'Grid: operator';
const MAX_ID_LENGTH = 100;
const MAX_LIMIT = 200;
const USUAL_LIMIT = 50;

const ReportShown = z.object({
  report_id: Uuid,
  reporter_id: z.string(),
  node_id: z.string(),
  counted: z.boolean().meta({ description: 'Whether it is a strike.' }),
  strikes: z.int().meta({ description: 'What the node had when it was made.' }),
  confiscated: Amount.nullable().meta({ description: 'Where it ended the node.' }),
  verdict: z.enum(['upheld', 'dismissed']).nullable(),
  created_at: Timestamp,
});
const ReportsQuery = z.object({
  node_id: z.string().min(1).max(MAX_ID_LENGTH).optional(),
  counted: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional(),
  limit: wholeNumber({ min: 1, max: MAX_LIMIT }).default(USUAL_LIMIT),
  offset,
});
const ReportsShown = z.object({ reports: z.array(ReportShown), total: z.int(), limit: z.int(), offset: z.int() });
const ReviewQuery = z.object({
  report_id: z.string().min(1).max(MAX_ID_LENGTH),
  verdict: z.enum(['uphold', 'dismiss']).meta({
    description: 'Dismissed, its strike is taken back; upheld, what was only noted becomes a strike.',
  }),
});
const ReviewShown = z.object({
  status: z.enum(['UPHELD', 'DISMISSED']),
  report_id: Uuid,
  node_id: z.string(),
  current_strikes: z.int(),
  active: z.boolean(),
  returned_balance: Amount.meta({ description: 'Given back to a node that is here again.' }),
});

const VERDICTS = { uphold: 'upheld', dismiss: 'dismissed' } as const;

/** What the operator sees of reports, and decides about them. */
export const adminReportRoutes = ({ grid }: { grid: Grid }): Route[] => [
  route({
    method: 'GET',
    path: '/v1/admin/reports',
    tag: TAG,
    summary: 'Reports of malfeasance, newest first',
    access: 'admin',
    query: ReportsQuery,
    replies: { 200: { description: 'A page of them', schema: ReportsShown } },
    handle: async (_op, { query }) => {
      const { node_id: node, counted, limit, offset: from } = query;
      const { rows, total } = await grid.reputation.reports({ node, counted }, { limit, offset: from });
      return ok({ reports: rows.map(presentReport), total, limit, offset: from } satisfies z.input<
        typeof ReportsShown
      >);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/admin/reports/review',
    tag: TAG,
    summary: 'Decide about a report, once',
    description:
      'Where a strike that is dismissed had ended its node, the node is here again with what was confiscated, and soon with what escrows have held for it.',
    access: 'admin',
    query: ReviewQuery,
    fails: ['invalid', 'not_found', 'conflict'],
    replies: { 200: { description: 'What it came to', schema: ReviewShown } },
    handle: async (op, { query }) =>
      ok(presentReview(await grid.reputation.review(op, query.report_id, VERDICTS[query.verdict]))),
  }),
];

const presentReport = (report: Report): z.input<typeof ReportShown> => ({
  report_id: report.id,
  reporter_id: report.reporter,
  node_id: report.node,
  counted: report.counted,
  strikes: report.strikes,
  confiscated: report.confiscated === undefined ? null : shortDecimals(report.confiscated),
  verdict: report.verdict ?? null,
  created_at: naive(report.at),
});

const presentReview = ({ report, verdict, strikes, active, returned }: Reviewed): z.input<typeof ReviewShown> => ({
  status: verdict === 'upheld' ? 'UPHELD' : 'DISMISSED',
  report_id: report.id,
  node_id: report.node,
  current_strikes: strikes,
  active,
  returned_balance: shortDecimals(returned),
});
