import { z } from 'zod';
import { decimals, shortDecimals, splitOf, type Grid, type Simulation } from '../../domains/grid/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import { ok, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { shownEscrowId } from './present-escrow.ts';
import { Order, orderOf } from './tasks.ts';
import { Amount, Uuid } from './wire.ts';

const TAG = 'Grid: shadow';
const CREATE_LIMIT = { name: 'grid-shadow-create', max: 30, windowMs: MINUTE };
/** A judgement may take seconds of a thread that all share who try something out. */
const SIMULATE_LIMIT = { name: 'grid-shadow-simulate', max: 20, windowMs: MINUTE };
const NOTE = 'Shadow mode: no TCK was moved. GET /v1/shadow/simulate/{task_id} shows what would happen.';

const CreateShown = z.object({
  task_id: Uuid,
  escrow_id: Uuid,
  status: z.literal('SHADOW_QUEUED'),
  shadow: z.literal(true),
  simulated_cost: Amount,
  simulated_tax: Amount,
  simulated_payout: Amount,
  note: z.string(),
});
const SimulateShown = z.object({
  task_id: Uuid,
  shadow: z.literal(true),
  simulation: z.object({
    outcome: z.enum(['SETTLED', 'AUTO_REFUND', 'FLAGGED_MANUAL']),
    dispute_engine: z.object({ triggered: z.boolean(), reason: z.string().nullable(), details: z.unknown() }),
    financial_impact: z.object({ buyer: z.string(), seller: z.string(), vault: z.string() }),
  }),
  note: z.string(),
});

export const shadowRoutes = ({ grid }: { grid: Grid }): Route[] => [
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/shadow/tasks/create',
    tag: TAG,
    summary: 'Order work without any money',
    keyOnly: true,
    nodeLimit: CREATE_LIMIT,
    idempotent: true,
    body: Order,
    fails: ['invalid', 'forbidden', 'not_found', 'conflict'],
    replies: { 200: { description: 'The task, and what it would cost', schema: CreateShown } },
    handle: async (op, { body }) => {
      const { task, offer } = await grid.escrow.createTask(op, orderOf(body, true));
      const { payout, tax } = splitOf(offer.price);
      return ok({
        task_id: task.id,
        escrow_id: shownEscrowId(task),
        status: 'SHADOW_QUEUED',
        shadow: true,
        simulated_cost: shortDecimals(offer.price),
        simulated_tax: decimals(tax),
        simulated_payout: decimals(payout),
        note: NOTE,
      } satisfies z.input<typeof CreateShown>);
    },
  }),
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/shadow/simulate/:id',
    tag: TAG,
    summary: 'What a shadow task would have come to',
    keyOnly: true,
    nodeLimit: SIMULATE_LIMIT,
    params: z.object({ id: z.string() }),
    fails: ['invalid', 'forbidden', 'not_found'],
    replies: {
      200: { description: 'The judgement of its output, and who would have had what', schema: SimulateShown },
    },
    handle: async (op, { params }) => {
      const simulation = await grid.escrow.simulate(op, params.id);
      const { task, outcome, broken } = simulation;
      return ok({
        task_id: task.id,
        shadow: true,
        simulation: {
          outcome,
          dispute_engine: {
            triggered: broken !== undefined,
            reason: broken?.rule ?? null,
            details: broken?.details ?? null,
          },
          financial_impact: impactOf(simulation),
        },
        note: 'This is a simulation. No TCK was moved.',
      } satisfies z.input<typeof SimulateShown>);
    },
  }),
];

function impactOf({ outcome, amount, split }: Simulation) {
  if (outcome === 'SETTLED')
    return {
      buyer: `-${shortDecimals(amount)} TCK`,
      seller: `+${decimals(split.payout)} TCK`,
      vault: `+${decimals(split.tax)} TCK`,
    };
  const nothing = { seller: '0 TCK', vault: '0 TCK' };
  if (outcome === 'AUTO_REFUND') return { buyer: `+${shortDecimals(amount)} TCK (refunded)`, ...nothing };
  return { buyer: `-${shortDecimals(amount)} TCK (frozen until the operator decides)`, ...nothing };
}
