import { z } from 'zod';
import {
  CAPABILITIES,
  decimals,
  nearestTck,
  shortDecimals,
  type Grid,
  type Watched,
} from '../../domains/grid/index.ts';
import { ok, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { Amount, givenAmount, Uuid } from './wire.ts';

const TAG = 'Grid: MCP bridge';
const MAX_NAME_LENGTH = 50;
const MAX_CAPABILITY_LENGTH = 100;
const MAX_PRICE_TCK = 10_000;
const DEFAULT_PRICE = nearestTck(1);
const MAX_DEADLINE_SECONDS = 3_600;
const DEFAULT_DEADLINE_SECONDS = 30;

const Hire = z.object({
  integration: z
    .string()
    .min(1)
    .max(MAX_NAME_LENGTH)
    .meta({ description: 'The program that hires.', examples: ['claude'] }),
  capability: z
    .string()
    .max(MAX_CAPABILITY_LENGTH)
    .meta({ description: `One of: ${CAPABILITIES.map(({ name }) => name).join(', ')}.`, examples: ['csv-parser'] }),
  payload: z.record(z.string(), z.unknown()).meta({ examples: [{ csv: 'a,b\n1,2' }] }),
  max_price: givenAmount({ max: MAX_PRICE_TCK })
    .nullish()
    .transform((price) => price ?? DEFAULT_PRICE)
    .meta({ examples: [1] }),
  deadline_seconds: z
    .number()
    .gt(0)
    .max(MAX_DEADLINE_SECONDS)
    .nullish()
    .transform((seconds) => seconds ?? DEFAULT_DEADLINE_SECONDS)
    .meta({ description: 'What is not delivered by then is given back.' }),
});
const HiredShown = z.object({
  status: z.literal('QUEUED'),
  task_id: Uuid,
  escrow_id: Uuid.nullable(),
  estimated_cost: Amount,
  eta_seconds: z.int(),
});
const TaskShown = z.object({
  status: z.enum(['QUEUED', 'RUNNING', 'COMPLETED', 'FAILED']),
  task_id: Uuid,
  escrow_id: Uuid.nullable(),
  cost: Amount.nullable().meta({ description: 'Null until something is delivered.' }),
  output: z.unknown(),
  error_type: z.literal('GRID_ERROR').nullable(),
  error_message: z.string().nullable(),
  retry_hint: z.enum(['retry_later', 'contact_human']).nullable(),
});
const WalletShown = z.object({
  node_id: z.string(),
  balance_tck: Amount,
  cri_score: z.number(),
  pending_escrows: z.int(),
  open_tasks: z.int(),
});

export const mcpRoutes = (grid: Grid): Route[] => [
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/mcp/hire',
    tag: TAG,
    summary: 'Hire a node for a capability',
    description:
      'Takes the cheapest skill whose label names the capability, and locks its price away. It never costs more than `max_price`.',
    idempotent: true,
    body: Hire,
    fails: ['invalid', 'unaffordable', 'forbidden'],
    replies: { 200: { description: 'It is ordered', schema: HiredShown } },
    handle: async (op, { body }) => {
      const { integration, capability, payload, max_price: maxPrice, deadline_seconds: deadlineSeconds } = body;
      const hired = await grid.bridge.hire(op, { integration, capability, payload, maxPrice, deadlineSeconds });
      return ok({
        status: 'QUEUED',
        task_id: hired.task.id,
        escrow_id: hired.task.escrowId,
        estimated_cost: shortDecimals(hired.offer.price),
        eta_seconds: hired.capability.etaSeconds,
      } satisfies z.input<typeof HiredShown>);
    },
  }),
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/mcp/tasks/:task_id',
    tag: TAG,
    summary: 'How a task stands',
    params: z.object({ task_id: z.string() }),
    fails: ['not_found'],
    replies: { 200: { description: 'Its status, and its output when it is there', schema: TaskShown } },
    handle: async (op, { params }) => ok(presentTask(await grid.bridge.watch(op, params.task_id))),
  }),
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/mcp/wallet',
    tag: TAG,
    summary: 'What you have, and what waits',
    replies: { 200: { description: 'Your wallet', schema: WalletShown } },
    handle: async (op) => {
      const { balance, cri, pendingEscrows, openTasks } = await grid.bridge.purse(op);
      return ok({
        node_id: op.node.id,
        balance_tck: shortDecimals(balance),
        cri_score: cri,
        pending_escrows: pendingEscrows,
        open_tasks: openTasks,
      } satisfies z.input<typeof WalletShown>);
    },
  }),
];

const STATUS = {
  OPEN: 'RUNNING',
  IN_PROGRESS: 'RUNNING',
  COMPLETED: 'COMPLETED',
  SETTLED: 'COMPLETED',
  DISPUTED: 'FAILED',
  REFUNDED: 'FAILED',
} as const satisfies Record<Watched['task']['status'], z.input<typeof TaskShown>['status']>;

function presentTask({ task, escrow }: Watched): z.input<typeof TaskShown> {
  const status = STATUS[task.status];
  const failure = status === 'FAILED' ? failureOf(task.status, escrow?.reason ?? undefined) : undefined;
  return {
    status,
    task_id: task.id,
    escrow_id: task.escrowId,
    cost: escrow && status === 'COMPLETED' ? decimals(escrow.amount) : null,
    output: status === 'COMPLETED' ? task.output : null,
    error_type: failure ? 'GRID_ERROR' : null,
    error_message: failure?.message ?? null,
    retry_hint: failure?.hint ?? null,
  };
}

const failureOf = (status: Watched['task']['status'], reason: string | undefined) =>
  status === 'DISPUTED'
    ? ({ message: 'What was delivered is disputed', hint: 'contact_human' } as const)
    : ({ message: `Given back${reason === undefined ? '' : `: ${reason}`}`, hint: 'retry_later' } as const);
