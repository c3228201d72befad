import { assert } from '../../../kernel/errors.ts';
import type { Tck } from '../../../kernel/money.ts';
import { newId } from '../../../kernel/op.ts';
import { recordFact } from '../../../platform/outbox.ts';
import { bounty as bountyAccount } from '../../ledger/index.ts';
import { shortDecimals } from '../money.ts';
import { spend } from '../nodes/spend.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { deadlineOf, type Bounty, type BountyCategory } from './bounty.ts';
import { requireLevel, type Gate } from './gate.ts';
import { findBounty, insertBounty } from './store.ts';

export type BountyWish = {
  title: string;
  description: string;
  reward: Tck;
  category: BountyCategory;
  tags: string[];
  sealed: boolean;
  deadlineDays: number | undefined;
};

/**
 * Offers a reward, and puts it aside. Throws `unaffordable`, `invalid` beyond the node's canary, `forbidden` below the
 * level that it takes.
 */
export async function create(world: GridWorld & Gate, op: NodeOp, wish: BountyWish): Promise<Bounty> {
  await requireLevel(world, op, 'postBounty');
  const { deadlineDays, ...written } = wish;
  const id = newId(op, 'bounty');
  const deadlineAt = deadlineOf(op.now, deadlineDays);
  const { id: creatorId, sandbox, accountId } = op.node;
  await world.db.transact(async (tx) => {
    if (!(await insertBounty(tx, { ...written, id, creatorId, sandbox, deadlineAt }, op.now))) return;
    const to = bountyAccount(id);
    await world.ledger.openAccount(tx, to);
    await spend(world, tx, op, op.node, {
      id: newId(op, 'transfer', 'bounty hold'),
      type: 'BOUNTY_HOLD',
      amount: wish.reward,
      to,
      description: `Reward of bounty ${id}`,
      metadata: { reference: id },
    });
    await recordFact(tx, op, {
      type: 'bounty.created',
      subject: id,
      accountId,
      data: { nodes: [creatorId], bounty_id: id, reward: shortDecimals(wish.reward) },
    });
  });
  const made = await findBounty(world.db, id);
  assert(made, 'a bounty that was made is there');
  return made;
}
