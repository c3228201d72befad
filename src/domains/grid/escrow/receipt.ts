import { escrow as accountOf, type Code, type Movement } from '../../ledger/index.ts';
import type { Db } from '../../../platform/db.ts';
import { vaultOf } from '../money.ts';
import type { NodeOp } from '../world.ts';
import type { EscrowWorld } from './world.ts';
import { decisionsAbout, validationsOf } from './decision-store.ts';
import type { RecordedDecision, RecordedValidation } from './decision.ts';
import type { Escrow } from './escrow.ts';
import { walletOf } from './money.ts';
import { ownersOf } from './owner-store.ts';
import { partyTask } from './party-task.ts';
import { findOffer, type Offer } from './skill-store.ts';
import { findEscrow } from './store.ts';
import type { GridTask } from './task.ts';

export type NamedMovement = Movement & { name: string };

/** Everything that is known of a task, for its parties. */
export type Receipt = {
  task: GridTask;
  offer: Offer | undefined;
  escrow: Escrow | undefined;
  /** What its money did, with the names that the parties know the ledger's accounts by. */
  movements: NamedMovement[];
  decisions: RecordedDecision[];
  at: Date;
};

export async function receiptOf({ db, ledger }: EscrowWorld, op: NodeOp, id: string): Promise<Receipt> {
  const task = await partyTask(db, op, id);
  const offer = await findOffer(db, task.skillId);
  const escrow = task.escrowId ? await findEscrow(db, task.escrowId) : undefined;
  const names = escrow ? await accountNames(db, escrow) : new Map<Code, string>();
  const movements = escrow ? await ledger.movements(db, accountOf(escrow.id)) : [];
  return {
    task,
    offer,
    escrow,
    movements: movements.map((each) => ({ ...each, name: names.get(each.account) ?? each.account })),
    decisions: await decisionsAbout(db, task.id),
    at: op.now,
  };
}

async function accountNames(db: Db, escrow: Escrow): Promise<Map<Code, string>> {
  const { id, buyerId, sellerId } = escrow;
  const owners = await ownersOf(db, [buyerId, sellerId]);
  return new Map<Code, string>([
    [accountOf(id), `ESCROW:${id}`],
    [vaultOf(escrow), 'VAULT'],
    [walletOf(owners, buyerId), buyerId],
    [walletOf(owners, sellerId), sellerId],
  ]);
}

export async function validationsFor(
  { db }: EscrowWorld,
  op: NodeOp,
  id: string,
): Promise<{ task: GridTask; validations: RecordedValidation[] }> {
  const task = await partyTask(db, op, id);
  return { task, validations: await validationsOf(db, task.id) };
}
