import { createHash } from 'node:crypto';
import { assert } from '../../../kernel/errors.ts';
import { uuidFrom, type EscrowId, type NodeId, type TransferId } from '../../../kernel/ids.ts';
import { tck } from '../../../kernel/money.ts';
import type { Op } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { escrow as accountOf, wallet, type Leg, type Transfer } from '../../ledger/index.ts';
import { vaultOf } from '../money.ts';
import type { Node } from '../nodes/node.ts';
import { spend } from '../nodes/spend.ts';
import type { EscrowWorld } from './world.ts';
import { splitOf, type Escrow } from './escrow.ts';
import type { Owners } from './owner-store.ts';

/** What a movement of an escrow's money is called in the ledger. */
export type Release = 'ESCROW_SETTLE' | 'DISPUTE_RELEASE';
export type Refund = 'ESCROW_REFUND' | 'DISPUTE_REFUND';

type Locked = Pick<Escrow, 'id' | 'amount' | 'sellerId'>;

/** Locks the buyer's money away, within what it lets itself spend. */
export async function lockAway(
  world: Pick<EscrowWorld, 'ledger'>,
  tx: Tx,
  op: Op,
  buyer: Node,
  { id, amount, sellerId }: Locked,
): Promise<void> {
  await world.ledger.openAccount(tx, accountOf(id));
  await spend(world, tx, op, buyer, {
    id: transferId('ESCROW_LOCK', id),
    type: 'ESCROW_LOCK',
    amount,
    to: accountOf(id),
    description: `Locked for ${sellerId}`,
    metadata: referenceTo(id),
  });
}

/** Pays the seller, and the vault its tax. */
export function payment(type: Release, escrow: Escrow, owners: Owners): Transfer {
  const { id, amount, sellerId } = escrow;
  const { payout, tax } = splitOf(amount);
  const legs: Leg<'TCK'>[] = [
    { account: accountOf(id), amount: tck(-amount) },
    { account: walletOf(owners, sellerId), amount: payout },
  ];
  // Three hundredths of very little are nothing, and a leg moves something.
  if (tax > 0n) legs.push({ account: vaultOf(escrow), amount: tax, type: 'PROTOCOL_TAX' });
  return { ...named(type, id), description: `Paid to ${sellerId}`, legs };
}

/** Gives the buyer everything back. */
export function refund(type: Refund, { id, amount, buyerId, reason }: Escrow, owners: Owners): Transfer {
  const legs: Leg<'TCK'>[] = [
    { account: accountOf(id), amount: tck(-amount) },
    { account: walletOf(owners, buyerId), amount },
  ];
  return { ...named(type, id), description: `${reason ?? type}: back to ${buyerId}`, legs };
}

const named = (type: Release | Refund, id: EscrowId) => ({
  id: transferId(type, id),
  type,
  metadata: referenceTo(id),
});

const referenceTo = (id: string) => ({ reference: id });

/** The id of a movement follows from what it is for, so that the ledger would not make it twice either. */
export const transferId = (type: string, subject: string): TransferId =>
  uuidFrom(createHash('sha256').update(`${type} ${subject}`).digest()) as TransferId;

export function walletOf(owners: Owners, node: NodeId) {
  const accountId = owners.get(node);
  assert(accountId, 'a node belongs to an account');
  return wallet(accountId, 'TCK');
}
