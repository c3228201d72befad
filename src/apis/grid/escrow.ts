import { z } from 'zod';
import { decimals, type Grid } from '../../domains/grid/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import { ok, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { EscrowShown, GivenId, IdempotencyField, IdParams, Json, ProofHash, Reason } from './escrow-wire.ts';
import { naive } from './present.ts';
import { presentEscrow } from './present-escrow.ts';
import { Amount, givenAmount, NodeName, Timestamp, Uuid } from './wire.ts';

const TAG = 'Grid: escrow';
const INIT_LIMIT = { name: 'grid-escrow-init', max: 20, windowMs: MINUTE };
const SETTLE_LIMIT = { name: 'grid-escrow-settle', max: 20, windowMs: MINUTE };
const MAX_AMOUNT = 100_000;

const Init = z.object({
  seller_id: NodeName,
  amount: givenAmount({ max: MAX_AMOUNT }).meta({ examples: [20] }),
  idempotency_key: IdempotencyField,
});
const InitShown = z.object({
  escrow_id: Uuid,
  status: z.literal('FUNDS_LOCKED'),
  idempotent: z.literal(true).optional(),
});
const Settle = z.object({ escrow_id: GivenId, proof_hash: ProofHash });
const SettleShown = z.union([
  z.object({ status: z.literal('SETTLED'), payout: Amount, tax: Amount }),
  z.object({ status: z.enum(['REFUNDED', 'DISPUTED']), reason: z.string().nullable() }),
]);
const DeliverShown = z.object({
  status: z.literal('AWAITING_SETTLEMENT'),
  escrow_id: Uuid,
  eta_tck_release: Timestamp.nullable(),
});
const Objection = z.object({ reason: Reason, verification_evidence: Json.nullish() });
const ObjectionShown = z.object({ status: z.literal('DISPUTE_OPEN'), message: z.string() });
export const DISPUTE_MESSAGE = 'Funds frozen. Manual node audit initiated.';

export const escrowRoutes = ({ grid }: { grid: Grid }): Route[] => [
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/trade/escrow/init',
    tag: TAG,
    summary: 'Lock TCK away for another node',
    description: 'It is given back after 72 hours unless the seller delivers.',
    nodeLimit: INIT_LIMIT,
    idempotent: true,
    body: Init,
    fails: ['invalid', 'unaffordable', 'forbidden', 'not_found', 'conflict'],
    replies: { 200: { description: 'The escrow', schema: InitShown } },
    handle: async (op, { body }) => {
      const { seller_id: sellerId, amount, idempotency_key: key } = body;
      const { escrow, replayed } = await grid.escrow.open(op, { sellerId, amount, idempotencyKey: key ?? undefined });
      return ok({
        escrow_id: escrow.id,
        status: 'FUNDS_LOCKED',
        ...(replayed && { idempotent: true }),
      } satisfies z.input<typeof InitShown>);
    },
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/trade/escrow/settle',
    tag: TAG,
    summary: 'Settle an escrow whose dispute window is over',
    description:
      'The delivery is judged by the rules first. Escrows are settled by themselves too; the first party that asks ' +
      'afterwards is told what it came to.',
    nodeLimit: SETTLE_LIMIT,
    idempotent: true,
    body: Settle,
    fails: ['invalid', 'forbidden', 'not_found'],
    replies: { 200: { description: 'What became of it', schema: SettleShown } },
    handle: async (op, { body }) => {
      const outcome = await grid.escrow.settle(op, body.escrow_id);
      if (outcome.status !== 'SETTLED') return ok(outcome satisfies z.input<typeof SettleShown>);
      const { status, payout, tax } = outcome;
      return ok({ status, payout: decimals(payout), tax: decimals(tax) } satisfies z.input<typeof SettleShown>);
    },
  }),
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/trade/escrow/:id',
    tag: TAG,
    summary: 'An escrow, for its parties',
    params: IdParams,
    fails: ['not_found'],
    replies: { 200: { description: 'The escrow', schema: EscrowShown } },
    handle: async (op, { params }) => ok(presentEscrow(await grid.escrow.get(op, params.id))),
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/trade/escrow/:id/deliver',
    tag: TAG,
    summary: 'Say what was delivered for an escrow that is of no task',
    description: 'Opens the 24 hours in which the buyer may object. For a task, complete the task.',
    nodeLimit: INIT_LIMIT,
    idempotent: true,
    params: IdParams,
    body: z.object({ proof_hash: ProofHash }),
    fails: ['invalid', 'forbidden', 'not_found'],
    replies: { 200: { description: 'The escrow waits for its settlement', schema: DeliverShown } },
    handle: async (op, { params, body }) => {
      const escrow = await grid.escrow.deliver(op, params.id, body.proof_hash);
      return ok({
        status: 'AWAITING_SETTLEMENT',
        escrow_id: escrow.id,
        eta_tck_release: escrow.settleAt && naive(escrow.settleAt),
      } satisfies z.input<typeof DeliverShown>);
    },
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/trade/escrow/:id/dispute',
    tag: TAG,
    summary: 'Object to what was delivered for an escrow',
    nodeLimit: SETTLE_LIMIT,
    idempotent: true,
    params: IdParams,
    body: Objection,
    fails: ['invalid', 'forbidden', 'not_found'],
    replies: { 200: { description: 'The money is frozen', schema: ObjectionShown } },
    handle: async (op, { params, body }) => {
      const { reason, verification_evidence: evidence } = body;
      await grid.escrow.dispute(op, params.id, { reason, evidence: evidence ?? undefined });
      return ok({ status: 'DISPUTE_OPEN', message: DISPUTE_MESSAGE } satisfies z.input<typeof ObjectionShown>);
    },
  }),
];
