import { type Movement, escrow as accountOf } from '../../ledger/index.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { decisionsAbout, validationsOf } from './decision-store.ts';
import type { RecordedDecision, RecordedValidation } from './decision.ts';
import type { Escrow } from './escrow.ts';
import { partyTask } from './party-task.ts';
import { findOffer, type Offer } from './skill-store.ts';
import { findEscrow } from './store.ts';
import type { GridTask } from './task.ts';

/** Everything that is known of a task, for its parties. */
export type Receipt = {
  task: GridTask;
  offer: Offer | undefined;
  escrow: Escrow | undefined;
  movements: Movement[];
  decisions: RecordedDecision[];
  at: Date;
};

export async function receiptOf({ db, ledger }: GridWorld, op: NodeOp, id: string): Promise<Receipt> {
  const task = await partyTask(db, op, id);
  const offer = await findOffer(db, task.skillId);
  const escrow = task.escrowId ? await findEscrow(db, task.escrowId) : undefined;
  const movements = escrow ? await ledger.movements(db, accountOf(escrow.id)) : [];
  return { task, offer, escrow, movements, decisions: await decisionsAbout(db, task.id), at: op.now };
}

export async function validationsFor(
  { db }: GridWorld,
  op: NodeOp,
  id: string,
): Promise<{ task: GridTask; validations: RecordedValidation[] }> {
  const task = await partyTask(db, op, id);
  return { task, validations: await validationsOf(db, task.id) };
}
