import { AppError } from '../../../kernel/errors.ts';
import { parseId, type EscrowId } from '../../../kernel/ids.ts';
import type { Tck } from '../../../kernel/money.ts';
import { newId } from '../../../kernel/op.ts';
import { after } from '../../../kernel/time.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import { recordFacts } from '../../../platform/outbox.ts';
import type { NodeOp } from '../world.ts';
import type { EscrowWorld } from './world.ts';
import { PENDING_TIMEOUT_MS, type Escrow } from './escrow.ts';
import { createdFact, escrowFact, purchasedFact } from './facts.ts';
import { lockAway } from './money.ts';
import { sellerFor } from './open.ts';
import { promisesAnything, promisesOf } from './promises.ts';
import { findOffer, type Offer } from './skill-store.ts';
import { insertEscrow } from './store.ts';
import { findTask, findTaskByKey, insertTask } from './task-store.ts';
import type { GridTask, Via } from './task.ts';
import { ownValidators } from './validators.ts';

export type TaskOrder = {
  skillId: string;
  input: Record<string, unknown>;
  idempotencyKey?: string | undefined;
  /** Goes the same way without any money. */
  shadow?: boolean | undefined;
  /** The buyer's own validators, which the output has to pass. */
  validatorIds?: readonly string[] | undefined;
  via?: Via | undefined;
  integration?: string | undefined;
  callbackUrl?: string | undefined;
  /** What is not delivered by then is given back; never later than the usual time. */
  deadlineAt?: Date | undefined;
  /** Throws `invalid` where the skill costs more. */
  maxPrice?: Tck | undefined;
};

/** `replayed`: the buyer had ordered it before, under the same idempotency key. */
export type CreatedTask = { task: GridTask; offer: Offer; replayed: boolean };

/** Orders work of a skill's seller, and locks its price away. */
export async function createTask(world: EscrowWorld, op: NodeOp, order: TaskOrder): Promise<CreatedTask> {
  const { db } = world;
  const skillId = parseId('listing', order.skillId);
  const offer = skillId && (await findOffer(db, skillId));
  if (!offer) throw new AppError('not_found', 'Skill not found');
  const earlier = await findEarlier(db, op, order.idempotencyKey);
  if (earlier) return replay(earlier, offer);
  await sellerFor(db, op.node, offer.sellerId);
  if (order.maxPrice !== undefined && offer.price > order.maxPrice)
    throw new AppError('invalid', 'The skill costs more than max_price');
  const validatorIds = await ownValidators(db, op.node.id, order.validatorIds ?? []);
  const task = newTask(op, order, offer, validatorIds);
  const made = await db.transact((tx) => place(world, tx, op, { task, offer, key: order.idempotencyKey }));
  if (made) return { task, offer, replayed: false };
  // Somebody else was quicker with the same key.
  const other = await findEarlier(db, op, order.idempotencyKey);
  if (!other) throw new AppError('conflict', 'This idempotency_key was used for something else');
  return replay(other, offer);
}

const findEarlier = async (db: Db, op: NodeOp, key: string | undefined): Promise<GridTask | undefined> =>
  (key !== undefined ? await findTaskByKey(db, op.node.id, key) : undefined) ??
  (op.seed ? await findTask(db, newId(op, 'gridTask')) : undefined);

function replay(task: GridTask, offer: Offer): CreatedTask {
  if (task.skillId !== offer.id)
    throw new AppError('conflict', 'This idempotency_key was used for a task of another skill');
  return { task, offer, replayed: true };
}

function newTask(op: NodeOp, order: TaskOrder, offer: Offer, validatorIds: string[]): GridTask {
  const shadow = order.shadow === true;
  return {
    id: newId(op, 'gridTask'),
    skillId: offer.id,
    buyerId: op.node.id,
    sellerId: offer.sellerId,
    escrowId: shadow ? null : newId(op, 'escrow'),
    input: order.input,
    output: null,
    proofHash: null,
    proofMatches: null,
    status: 'OPEN',
    shadow,
    via: order.via ?? 'grid',
    integration: order.integration ?? null,
    callbackUrl: order.callbackUrl ?? null,
    deadlineAt: order.deadlineAt ?? null,
    validatorIds,
    createdAt: op.now,
    completedAt: null,
  };
}

type Placing = { task: GridTask; offer: Offer; key: string | undefined };

/** False where the buyer has used the key already; then nothing is written. */
async function place(world: EscrowWorld, tx: Tx, op: NodeOp, { task, offer, key }: Placing): Promise<boolean> {
  const { escrowId } = task;
  if (escrowId === null) {
    if (!(await insertTask(tx, task, key))) return false;
    await recordFacts(tx, op, [createdFact(task)]);
    return true;
  }
  const escrow = escrowFor(op, escrowId, task, offer);
  const ruled = promisesAnything(promisesOf(offer.metadata)) || task.validatorIds.length > 0;
  if (!(await insertEscrow(tx, { ...escrow, idempotencyKey: key, ruled }))) return false;
  if (!(await insertTask(tx, task, key))) throw new AppError('conflict', 'This idempotency_key is being used');
  await lockAway(world, tx, op, op.node, escrow);
  await recordFacts(tx, op, [escrowFact('escrow.locked', escrow), createdFact(task), purchasedFact(task)]);
  return true;
}

function escrowFor(op: NodeOp, id: EscrowId, task: GridTask, offer: Offer): Escrow {
  const latest = after(op.now, PENDING_TIMEOUT_MS);
  return {
    id,
    buyerId: task.buyerId,
    sellerId: task.sellerId,
    amount: offer.price,
    state: 'PENDING',
    sandbox: op.node.sandbox,
    proofHash: null,
    reason: null,
    refundAt: task.deadlineAt && task.deadlineAt < latest ? task.deadlineAt : latest,
    settleAt: null,
    settledAt: null,
    createdAt: op.now,
  };
}
