import type { GridWorld, NodeOp } from '../world.ts';
import { createTask, type TaskOrder } from './create-task.ts';
import { openEscrow, partyEscrow, type EscrowOrder } from './open.ts';
import { partyTask } from './party-task.ts';
import { parseId } from '../../../kernel/ids.ts';
import { createValidator, listValidators, type NewValidator } from './validators.ts';

export type Escrows = ReturnType<typeof createEscrows>;

/** Money that nodes lock away for one another, and the work that it is for. */
export function createEscrows(world: GridWorld) {
  const { db } = world;
  return {
    /** Throws `invalid` (of itself; beyond its canary), `not_found`, `forbidden` (sandbox), `unaffordable`. */
    open: (op: NodeOp, order: EscrowOrder) => openEscrow(world, op, order),
    /** Throws `not_found`, and `forbidden` for who is no party to it. */
    get: (op: NodeOp, id: string) => partyEscrow(db, op, parseId('escrow', id)),
    /** Throws `not_found`, `invalid` (of itself; too dear; beyond its canary), `forbidden` (sandbox), `unaffordable`. */
    createTask: (op: NodeOp, order: TaskOrder) => createTask(world, op, order),
    /** A task as its buyer or its seller sees it. Throws `not_found`, and `forbidden` for who is neither. */
    taskOf: (op: NodeOp, id: string) => partyTask(db, op, id),
    createValidator: (op: NodeOp, wish: NewValidator) => createValidator(world, op, wish),
    listValidators: (op: NodeOp) => listValidators(world, op),
  };
}
