import { tck, type Tck } from '../../../kernel/money.ts';
import { wallet } from '../../ledger/index.ts';
import type { NodeOp } from '../world.ts';
import type { EscrowWorld } from './world.ts';
import { hiredSkills, type HiredSkill } from './skill-store.ts';
import { standings, type Standing } from './standing-store.ts';

/** How a seller's business goes. */
export type SellerStats = {
  skills: HiredSkill[];
  /** What it was paid for trades and bounties, after tax. */
  earned: Tck;
  /** The share of what it has delivered that stands disputed. */
  disputeRate: number;
  standing: Standing;
};

/** What a seller is paid by. */
const EARNINGS = ['ESCROW_SETTLE', 'DISPUTE_RELEASE', 'BOUNTY_RELEASE'];
const RATE_DIGITS = 10_000;

export async function sellerStats({ db, ledger }: EscrowWorld, { node }: NodeOp): Promise<SellerStats> {
  const standing = (await standings(db, [node.id])).get(node.id);
  if (!standing) throw new Error('every node that is asked for has a standing');
  const { disputed, sellerTasks } = standing;
  return {
    skills: await hiredSkills(db, node.id),
    earned: tck(await ledger.received(db, wallet(node.accountId, 'TCK'), EARNINGS)),
    disputeRate: sellerTasks === 0 ? 0 : Math.round((disputed / sellerTasks) * RATE_DIGITS) / RATE_DIGITS,
    standing,
  };
}
