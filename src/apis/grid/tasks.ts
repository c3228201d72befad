import { z } from 'zod';
import type { Grid } from '../../domains/grid/index.ts';
import type { Webhooks } from '../../domains/webhooks/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import { ok, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { DISPUTE_MESSAGE } from './escrow.ts';
import {
  GivenId,
  IdempotencyField,
  IdParams,
  Json,
  ProofHash,
  Reason,
  ReceiptShown,
  TaskShown,
} from './escrow-wire.ts';
import { naive } from './present.ts';
import { presentReceipt, presentTask, shownEscrowId } from './present-escrow.ts';
import { Timestamp, Uuid } from './wire.ts';

const TAG = 'Grid: tasks';
const CREATE_LIMIT = { name: 'grid-tasks-create', max: 30, windowMs: MINUTE };
const MAX_VALIDATORS = 20;
const MAX_STATUS_LENGTH = 20;

/** What a buyer orders. */
export const Order = z.object({
  skill_id: GivenId,
  input_data: Json.meta({ examples: [{ text: 'Hola' }] }),
  idempotency_key: IdempotencyField,
  validator_ids: z.array(GivenId).max(MAX_VALIDATORS).nullish(),
});
const Create = Order.extend({ is_shadow: z.boolean().nullish() });
const CreateShown = z.object({
  task_id: Uuid,
  escrow_id: Uuid.meta({ description: 'Of a shadow task its own id: there is no escrow.' }),
  status: z.literal('QUEUED'),
  idempotent: z.literal(true).optional(),
  shadow: z.literal(true).optional(),
});
const MineQuery = z.object({
  status: z
    .string()
    .max(MAX_STATUS_LENGTH)
    .default('OPEN')
    .meta({ examples: ['OPEN', 'COMPLETED'] }),
  role: z.enum(['seller', 'buyer', 'any']).default('seller'),
});
const MineShown = z.object({
  node_id: z.string(),
  role: z.enum(['seller', 'buyer', 'any']),
  status_filter: z.string(),
  tasks: z.array(TaskShown),
  count: z.int(),
});
const ClaimShown = z.object({ status: z.literal('IN_PROGRESS'), task_id: Uuid });
const Complete = z.object({ task_id: GivenId, output_data: Json, proof_hash: ProofHash });
const CompleteShown = z.object({
  status: z.literal('COMPLETED'),
  settlement_status: z.enum(['PENDING_DISPUTE_WINDOW', 'SHADOW_NO_ESCROW']),
  eta_tck_release: Timestamp.nullable(),
});
const Dispute = z.object({ task_id: GivenId, reason: Reason, verification_evidence: Json.nullish() });
const DisputeShown = z.object({
  status: z.literal('DISPUTE_OPEN'),
  message: z.string(),
  evidence_attached: z.literal(true).optional(),
  evidence_summary: z.string().optional(),
});
const ValidationsShown = z.object({
  task_id: Uuid,
  results: z.array(
    z.object({
      validator_id: Uuid,
      result: z.enum(['PASS', 'FAIL', 'INCONCLUSIVE', 'ERROR']),
      details: z.unknown(),
      evaluated_at: Timestamp,
    }),
  ),
});

type Domains = { grid: Grid; webhooks: Pick<Webhooks, 'deliveriesAbout'> };

export const taskRoutes = ({ grid, webhooks }: Domains): Route[] => [
  createRoute(grid),
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/tasks/mine',
    tag: TAG,
    summary: 'The tasks of this node in one status, oldest first',
    keyOnly: true,
    query: MineQuery,
    replies: { 200: { description: 'At most 1000 tasks, and of large ones as many as 8 MB', schema: MineShown } },
    handle: async (op, { query }) => {
      const { status, role } = query;
      const tasks = (await grid.escrow.tasksOf(op, { status, role })).map(presentTask);
      return ok({
        node_id: op.node.id,
        role,
        status_filter: status,
        tasks,
        count: tasks.length,
      } satisfies z.input<typeof MineShown>);
    },
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/tasks/:id/claim',
    tag: TAG,
    summary: 'Take a task on, so that no other worker does',
    keyOnly: true,
    idempotent: true,
    params: IdParams,
    fails: ['forbidden', 'not_found', 'conflict'],
    replies: { 200: { description: 'It is this worker’s', schema: ClaimShown } },
    handle: async (op, { params }) => {
      const { id } = await grid.escrow.claim(op, params.id);
      return ok({ status: 'IN_PROGRESS', task_id: id } satisfies z.input<typeof ClaimShown>);
    },
  }),
  completeRoute(grid),
  disputeRoute(grid),
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/tasks/:id/receipt',
    tag: TAG,
    summary: 'Everything that is known of a task, for its parties',
    keyOnly: true,
    params: IdParams,
    fails: ['not_found'],
    replies: { 200: { description: 'The receipt', schema: ReceiptShown } },
    handle: async (op, { params }) => {
      const receipt = await grid.escrow.receipt(op, params.id);
      const { task, escrow } = receipt;
      const told = await webhooks.deliveriesAbout(op, [task.id, ...(escrow ? [escrow.id] : [])]);
      return ok(presentReceipt(receipt, told));
    },
  }),
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/tasks/:id/validations',
    tag: TAG,
    summary: 'What the buyer’s validators found',
    keyOnly: true,
    params: IdParams,
    fails: ['not_found'],
    replies: { 200: { description: 'One result for each validator that was asked', schema: ValidationsShown } },
    handle: async (op, { params }) => {
      const { task, validations } = await grid.escrow.validations(op, params.id);
      return ok({
        task_id: task.id,
        results: validations.map(({ validatorId, result, details, at }) => ({
          validator_id: validatorId,
          result,
          details,
          evaluated_at: naive(at),
        })),
      } satisfies z.input<typeof ValidationsShown>);
    },
  }),
];

const createRoute = (grid: Grid): Route =>
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/tasks/create',
    tag: TAG,
    summary: 'Order work of a skill and lock its price away',
    keyOnly: true,
    nodeLimit: CREATE_LIMIT,
    idempotent: true,
    body: Create,
    fails: ['invalid', 'unaffordable', 'forbidden', 'not_found', 'conflict'],
    replies: { 200: { description: 'The task is in its seller’s queue', schema: CreateShown } },
    handle: async (op, { body }) => {
      const { task, replayed } = await grid.escrow.createTask(op, orderOf(body, body.is_shadow === true));
      return ok({
        task_id: task.id,
        escrow_id: shownEscrowId(task),
        status: 'QUEUED',
        ...(replayed && { idempotent: true }),
        ...(task.shadow && { shadow: true }),
      } satisfies z.input<typeof CreateShown>);
    },
  });

export const orderOf = (body: z.output<typeof Order>, shadow: boolean) => ({
  skillId: body.skill_id,
  input: body.input_data,
  idempotencyKey: body.idempotency_key ?? undefined,
  validatorIds: body.validator_ids ?? [],
  shadow,
});

const completeRoute = (grid: Grid): Route =>
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/tasks/complete',
    tag: TAG,
    summary: 'Deliver the output of a task',
    description: 'Opens the 24 hours in which the buyer may object. The hash is compared and the result is kept.',
    keyOnly: true,
    idempotent: true,
    body: Complete,
    fails: ['invalid', 'forbidden', 'not_found'],
    replies: { 200: { description: 'It is delivered', schema: CompleteShown } },
    handle: async (op, { body }) => {
      const completion = { taskId: body.task_id, output: body.output_data, proofHash: body.proof_hash };
      const { task, settleAt } = await grid.escrow.complete(op, completion);
      return ok({
        status: 'COMPLETED',
        settlement_status: task.shadow ? 'SHADOW_NO_ESCROW' : 'PENDING_DISPUTE_WINDOW',
        eta_tck_release: settleAt && naive(settleAt),
      } satisfies z.input<typeof CompleteShown>);
    },
  });

const disputeRoute = (grid: Grid): Route =>
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/tasks/dispute',
    tag: TAG,
    summary: 'Object to what was delivered',
    description: 'Freezes the money until the operator decides.',
    keyOnly: true,
    idempotent: true,
    body: Dispute,
    fails: ['invalid', 'forbidden', 'not_found'],
    replies: { 200: { description: 'The money is frozen', schema: DisputeShown } },
    handle: async (op, { body }) => {
      const { task_id: id, reason, verification_evidence: evidence } = body;
      await grid.escrow.disputeTask(op, id, { reason, evidence: evidence ?? undefined });
      return ok({
        status: 'DISPUTE_OPEN',
        message: DISPUTE_MESSAGE,
        ...(evidence && { evidence_attached: true, evidence_summary: summaryOf(evidence) }),
      } satisfies z.input<typeof DisputeShown>);
    },
  });

function summaryOf(evidence: z.output<typeof Json>): string {
  const said = (name: string, otherwise: string) => {
    const value = evidence[name] ?? otherwise;
    return typeof value === 'string' ? value : JSON.stringify(value);
  };
  const parts = [`verifier=${said('verifier_skill', 'unknown')}`, `score=${said('score', 'N/A')}`];
  return `Verification evidence attached: ${parts.join(', ')}, verdict=${said('verdict', 'N/A')}`;
}
