import { z } from 'zod';
import { decimals, shortDecimals, type Grid } from '../../domains/grid/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { DecisionShown } from './escrow-wire.ts';
import { naive } from './present.ts';
import { presentDecision } from './present-escrow.ts';
import { Amount, offset, Timestamp, Uuid, wholeNumber } from './wire.ts';

const TAG = 'Grid: operator';
const MAX_ID_LENGTH = 100;
const MAX_FILTER_LENGTH = 50;
const MAX_LIMIT = 200;
const DEFAULT_LIMIT = 50;

const SettleShown = z.object({
  status: z.literal('OK'),
  settled: z.int(),
  auto_refunded: z.int(),
  flagged: z.int().meta({ description: 'Could not be judged: the operator has to decide.' }),
  failed: z.int(),
  tax_routed_to_vault: Amount,
  timestamp: Timestamp,
});
const RefundShown = z.object({ status: z.literal('OK'), refunded: z.int() });
const ResolveQuery = z.object({
  escrow_id: z.string().min(1).max(MAX_ID_LENGTH),
  resolution: z
    .string()
    .min(1)
    .max(MAX_FILTER_LENGTH)
    .meta({ examples: ['refund_buyer', 'release_to_seller'] }),
});
const ResolveShown = z.union([
  z.object({ status: z.literal('REFUNDED'), escrow_id: Uuid, amount: Amount, to: z.string() }),
  z.object({ status: z.literal('SETTLED'), escrow_id: Uuid, payout: Amount, tax: Amount, to: z.string() }),
]);
const Filter = z.string().min(1).max(MAX_FILTER_LENGTH).optional();
const DisputesQuery = z.object({
  reason: Filter.meta({ examples: ['SCHEMA_MISMATCH'] }),
  escrow_status: Filter.meta({ examples: ['REFUNDED'] }),
  action: Filter.meta({ examples: ['AUTO_REFUND'] }),
  limit: wholeNumber({ min: 1, max: MAX_LIMIT }).default(DEFAULT_LIMIT),
  offset,
});
const DisputesShown = z.object({
  disputes: z.array(DecisionShown),
  total: z.int(),
  limit: z.int(),
  offset: z.int(),
});

export const adminEscrowRoutes = ({ grid }: { grid: Grid }): Route[] => [
  route({
    method: 'POST',
    path: '/v1/admin/escrows/auto-settle',
    tag: TAG,
    summary: 'Settle now whatever is due',
    access: 'admin',
    replies: { 200: { description: 'What became of it', schema: SettleShown } },
    handle: async (op) => {
      const { settled, refunded, flagged, failed, tax } = await grid.escrow.settleAll(op);
      return ok({
        status: 'OK',
        settled,
        auto_refunded: refunded,
        flagged,
        failed,
        tax_routed_to_vault: decimals(tax),
        timestamp: naive(op.now),
      } satisfies z.input<typeof SettleShown>);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/admin/escrows/auto-refund',
    tag: TAG,
    summary: 'Give back now whatever nobody delivered against in time',
    access: 'admin',
    replies: { 200: { description: 'How many', schema: RefundShown } },
    handle: async (op) =>
      ok({ status: 'OK', refunded: await grid.escrow.refundAll(op) } satisfies z.input<typeof RefundShown>),
  }),
  route({
    method: 'POST',
    path: '/v1/admin/disputes/resolve',
    tag: TAG,
    summary: 'Decide about a disputed escrow',
    access: 'admin',
    query: ResolveQuery,
    fails: ['invalid', 'not_found'],
    replies: { 200: { description: 'Who has the money', schema: ResolveShown } },
    handle: async (op, { query }) => {
      const { escrow, payout, tax } = await grid.escrow.resolve(op, query.escrow_id, query.resolution);
      const shown: z.input<typeof ResolveShown> =
        escrow.state === 'REFUNDED'
          ? { status: 'REFUNDED', escrow_id: escrow.id, amount: shortDecimals(escrow.amount), to: escrow.buyerId }
          : {
              status: 'SETTLED',
              escrow_id: escrow.id,
              payout: decimals(payout),
              tax: decimals(tax),
              to: escrow.sellerId,
            };
      return ok(shown);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/admin/disputes',
    tag: TAG,
    summary: 'What rules, buyers and the operator decided, newest first',
    access: 'admin',
    query: DisputesQuery,
    replies: { 200: { description: 'A page of decisions', schema: DisputesShown } },
    handle: async (_op, { query }) => {
      const { reason, escrow_status: escrowState, action, limit, offset: from } = query;
      const filter = { rule: reason, escrowState, action };
      const { rows, total } = await grid.escrow.decisions(filter, { limit, offset: from });
      return ok({
        disputes: rows.map(presentDecision),
        total,
        limit,
        offset: from,
      } satisfies z.input<typeof DisputesShown>);
    },
  }),
];
