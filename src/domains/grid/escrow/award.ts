import type { NodeId } from '../../../kernel/ids.ts';
import { tck } from '../../../kernel/money.ts';
import type { Op } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFacts } from '../../../platform/outbox.ts';
import { mint, VAULT, type Transfer } from '../../ledger/index.ts';
import { GENESIS_BONUS, PIONEER_BONUS } from '../money.ts';
import { GENESIS_SEATS, PIONEER_JOBS, PIONEER_SEATS } from '../reputation/badges.ts';
import type { EscrowWorld } from './world.ts';
import { giveGenesis, givePioneer, lockNewGenesis, lockNewPioneers, lockRanks } from './award-store.ts';
import type { Escrow } from './escrow.ts';
import { transferId, walletOf } from './money.ts';
import type { Owners } from './owner-store.ts';

/** Who gets something for what has just been settled. Their rows and the ranks are locked. */
export type Awards = { genesis: readonly NodeId[]; pioneers: readonly NodeId[]; pioneersBefore: number };

/**
 * Finds whom sales have earned something, before any money is touched. Sellers that had signed up early get their
 * Genesis badges at once, in the order of their sales, while there are seats.
 */
export async function findAwards(tx: Tx, op: Op, escrows: readonly Escrow[]): Promise<Awards> {
  const sellers = [...new Set(escrows.map(({ sellerId }) => sellerId))];
  const early = await lockNewGenesis(tx, sellers);
  const pioneers = await lockNewPioneers(tx, sellers, PIONEER_JOBS);
  if (early.size === 0 && pioneers.length === 0) return { genesis: [], pioneers, pioneersBefore: 0 };
  const taken = await lockRanks(tx);
  const genesis = sellers.filter((id) => early.has(id)).slice(0, Math.max(0, GENESIS_SEATS - taken.genesis));
  for (const [n, node] of genesis.entries()) {
    const rank = taken.genesis + n + 1;
    await giveGenesis(tx, node, rank, op.now);
    await recordFacts(tx, op, [{ type: 'node.genesis_awarded', subject: node, data: { rank, nodes: [node] } }]);
  }
  return {
    genesis,
    pioneers: pioneers.slice(0, Math.max(0, PIONEER_SEATS - taken.pioneers)),
    pioneersBefore: taken.pioneers,
  };
}

/** Money that is made for it. */
export const genesisBonuses = ({ genesis }: Awards, owners: Owners): Transfer[] =>
  genesis.map((node) => bonusOf('GENESIS_BONUS', node, owners));

/** From the vault, if it has as much: if not, the next sale of a pioneer that is settled tries it again. */
export async function payPioneers(
  { ledger }: Pick<EscrowWorld, 'ledger'>,
  tx: Tx,
  op: Op,
  { pioneers, pioneersBefore }: Awards,
  owners: Owners,
): Promise<void> {
  for (const [n, node] of pioneers.entries()) {
    const [outcome] = await ledger.transferAll(tx, op, [bonusOf('VERIFIER_PIONEER_BONUS', node, owners)]);
    if (outcome === 'unaffordable') return;
    const rank = pioneersBefore + n + 1;
    await givePioneer(tx, node, rank, op.now);
    await recordFacts(tx, op, [{ type: 'node.pioneer_awarded', subject: node, data: { rank, nodes: [node] } }]);
  }
}

function bonusOf(type: 'GENESIS_BONUS' | 'VERIFIER_PIONEER_BONUS', node: NodeId, owners: Owners): Transfer {
  const [amount, source] = type === 'GENESIS_BONUS' ? [GENESIS_BONUS, mint('TCK')] : [PIONEER_BONUS, VAULT];
  return {
    id: transferId(type, node),
    type,
    description: type === 'GENESIS_BONUS' ? `Genesis bonus of ${node}` : `Verifier pioneer bonus of ${node}`,
    metadata: { reference: node },
    legs: [
      { account: source, amount: tck(-amount) },
      { account: walletOf(owners, node), amount },
    ],
  };
}
