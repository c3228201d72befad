import { AppError } from '../../../kernel/errors.ts';
import { parseId, type NodeId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { defineSweep, type SweepDefinition } from '../../../platform/jobs/index.ts';
import type { NodeOp } from '../world.ts';
import type { EscrowWorld } from './world.ts';
import { createCourt } from './court.ts';
import { createTask, type TaskOrder } from './create-task.ts';
import { listDecisions, type DecisionFilter } from './decision-store.ts';
import { claimTask, completeTask, deliverEscrow, type Completion } from './deliver.ts';
import { disputeEscrow, disputeTask, type Objection } from './dispute.ts';
import { openEscrow, partyEscrow, type EscrowOrder } from './open.ts';
import { tasksOf } from './list-tasks.ts';
import { partyTask } from './party-task.ts';
import { receiptOf, validationsFor } from './receipt.ts';
import { sellerStats } from './seller.ts';
import { resolveDispute, type Resolved } from './settle.ts';
import { simulate } from './simulate.ts';
import { countTasks, type Role } from './task-store.ts';
import { doneIn, refundOverdue, settleDue, settleNow, settleEverything, type Settling } from './tend.ts';
import { findEscrow, pendingEscrows } from './store.ts';
import { createValidator, listValidators, type NewValidator } from './validators.ts';

const SETTLE_SECONDS = 15;

export type Escrows = ReturnType<typeof createEscrows>;

/**
 * Money that nodes lock away for one another, and the work that it is for. What is not there is `not_found`, what is
 * others' is `not_found` too, or `forbidden` where clients expect it, what cannot be done where it is now is `invalid`.
 */
export function createEscrows(standing: EscrowWorld) {
  const world: Settling = { ...standing, court: createCourt(), playCourt: createCourt() };
  // Apart from the courts that money waits for: whoever only tries something out holds up nobody's.
  const trials = { ...standing, court: createCourt() };
  const { db } = world;
  return {
    /** Throws `invalid` (of itself; beyond its canary), `not_found`, `forbidden` (sandbox), `unaffordable`. */
    open: (op: NodeOp, order: EscrowOrder) => openEscrow(world, op, order),
    get: (op: NodeOp, id: string) => partyEscrow(db, op, parseId('escrow', id)),
    /** Says what was delivered for an escrow that is of no task. */
    deliver: (op: NodeOp, id: string, proofHash: string) => deliverEscrow(world, op, id, proofHash),
    dispute: (op: NodeOp, id: string, objection: Objection) => disputeEscrow(world, op, id, objection),
    settle: (op: NodeOp, id: string) => settleNow(world, op, parseId('escrow', id)),

    /** Throws `not_found`, `invalid` (of itself; too dear; beyond its canary), `forbidden` (sandbox), `unaffordable`. */
    createTask: (op: NodeOp, order: TaskOrder) => createTask(world, op, order),
    /** A task as its buyer or its seller sees it. */
    taskOf: (op: NodeOp, id: string) => partyTask(db, op, id),
    /** Oldest first. */
    tasksOf: (op: NodeOp, which: { status: string; role: Role }) => tasksOf(db, op.node.id, which),
    /** Throws `conflict` where somebody works at it. */
    claim: (op: NodeOp, id: string) => claimTask(world, op, id),
    complete: (op: NodeOp, completion: Completion) => completeTask(world, op, completion),
    disputeTask: (op: NodeOp, id: string, objection: Objection) => disputeTask(world, op, id, objection),
    receipt: (op: NodeOp, id: string) => receiptOf(world, op, id),
    validations: (op: NodeOp, id: string) => validationsFor(world, op, id),
    simulate: (op: NodeOp, id: string) => simulate(trials, op, id),

    createValidator: (op: NodeOp, wish: NewValidator) => createValidator(world, op, wish),
    listValidators: (op: NodeOp) => listValidators(world, op),
    sellerStats: (op: NodeOp) => sellerStats(world, op),
    /** How many of a node's escrows wait for a delivery or for their window to end, on either side. */
    pendingOf: (node: NodeId) => pendingEscrows(db, node),
    /** How many tasks a node has ordered, and has delivered. */
    countsOf: (node: NodeId) => countTasks(db, node),

    /** Settles everything that is due, now. */
    settleAll: (op: Op) => settleEverything(world, op),
    refundAll: (op: Op) => refundEverything(world, op),
    /** Throws `invalid` for a way that there is not, and for an escrow that is not disputed. */
    resolve: (op: Op, id: string, resolution: string) => resolve(world, op, id, resolution),
    decisions: (filter: DecisionFilter, page: { limit: number; offset: number }) => listDecisions(db, filter, page),

    sweeps: sweepsOf(world),
    close: async () => {
      await Promise.all([world.court, world.playCourt, trials.court].map((court) => court.close()));
    },
  };
}

const sweepsOf = (world: Settling): SweepDefinition[] => [
  defineSweep({
    name: 'grid.settle',
    everySeconds: SETTLE_SECONDS,
    runDue: async (op) => doneIn(await settleDue(world, op, 'plain')),
  }),
  defineSweep({
    name: 'grid.judge',
    everySeconds: SETTLE_SECONDS,
    runDue: async (op) => doneIn(await settleDue(world, op, 'ruled')),
  }),
  defineSweep({
    name: 'grid.judge-played',
    everySeconds: SETTLE_SECONDS,
    runDue: async (op) => doneIn(await settleDue(world, op, 'played')),
  }),
  defineSweep({
    name: 'grid.refund-overdue',
    everySeconds: SETTLE_SECONDS,
    runDue: async (op) => doneIn(await refundOverdue(world, op)),
  }),
];

async function refundEverything(world: EscrowWorld, op: Op): Promise<number> {
  let refunded = 0;
  for (let done = 1; done > 0 && !op.signal.aborted;) {
    const round = await refundOverdue(world, op);
    refunded += round.refunded;
    done = doneIn(round);
  }
  return refunded;
}

async function resolve(world: EscrowWorld, op: Op, id: string, resolution: string): Promise<Resolved> {
  if (resolution !== 'refund_buyer' && resolution !== 'release_to_seller')
    throw new AppError('invalid', "resolution must be 'refund_buyer' or 'release_to_seller'");
  const escrowId = parseId('escrow', id);
  const escrow = escrowId && (await findEscrow(world.db, escrowId));
  if (!escrow) throw new AppError('not_found', 'Escrow not found');
  return resolveDispute(world, op, escrow, resolution);
}
