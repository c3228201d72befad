import { AppError } from '../../../kernel/errors.ts';
import { parseId } from '../../../kernel/ids.ts';
import type { Tx } from '../../../platform/db.ts';
import type { NodeOp } from '../world.ts';
import type { Bounty } from './bounty.ts';
import { lockBounty } from './store.ts';

export const bountyMissing = (): AppError => new AppError('not_found', 'Bounty not found');

/** A bounty of the caller, locked. Bounties are public, so that of another is `forbidden`, not unknown. */
export async function lockOwn(tx: Tx, op: NodeOp, reference: string, verb: 'award' | 'cancel'): Promise<Bounty> {
  const id = parseId('bounty', reference);
  const bounty = id && (await lockBounty(tx, id));
  if (!bounty) throw bountyMissing();
  if (bounty.creatorId !== op.node.id) throw new AppError('forbidden', `Only the bounty creator can ${verb}`);
  return bounty;
}
