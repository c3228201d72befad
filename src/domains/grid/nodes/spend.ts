import { AppError } from '../../../kernel/errors.ts';
import type { TransferId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Op } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { wallet, type Code } from '../../ledger/index.ts';
import { decimals } from '../money.ts';
import type { GridWorld } from '../world.ts';
import type { Node } from './node.ts';
import { countSpending, type Spending } from './store.ts';

/** What counts as spent, and towards the level of a node. What is locked away is bound by its canary too. */
export type SpendingType = 'ESCROW_LOCK' | 'BOUNTY_HOLD' | 'LISTING_FEE';

export type Purchase = {
  /** The transfer's own id: repeating it has no second effect on the ledger. */
  id: TransferId;
  type: SpendingType;
  amount: Tck;
  to: Code<'TCK'>;
  description: string;
  metadata?: Record<string, unknown>;
};

/**
 * Moves TCK out of a node's wallet, within what it lets itself spend. Throws `invalid` beyond its canary,
 * `unaffordable` where the money is not there, `unauthenticated` for a node that is banned.
 */
export async function spend(
  { ledger }: Pick<GridWorld, 'ledger'>,
  tx: Tx,
  op: Op,
  node: Pick<Node, 'id' | 'accountId'>,
  purchase: Purchase,
): Promise<void> {
  const { id, type, amount, to, description, metadata = {} } = purchase;
  const locked = type === 'LISTING_FEE' ? 0n : amount;
  const spending = await countSpending(tx, node.id, { amount, locked, now: op.now });
  if (!spending) throw new AppError('unauthenticated', 'Node not found or banned');
  if (locked > 0n) refuseBeyondCanary(spending, amount);
  const legs = [
    { account: wallet(node.accountId, 'TCK'), amount: tck(-amount) },
    { account: to, amount },
  ];
  await ledger.transfer(tx, op, { id, type, description, metadata, legs }).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'unaffordable')
      throw new AppError('unaffordable', 'Insufficient funds', { cause: error });
    throw error;
  });
}

function refuseBeyondCanary({ locked_today: today, canary_daily: daily, canary_task: perTask }: Spending, amount: Tck) {
  if (perTask !== null && amount > perTask)
    throw new AppError(
      'invalid',
      `Task price ${decimals(amount)} TCK exceeds your per-task cap of ${decimals(perTask)} TCK`,
    );
  if (daily !== null && today > daily)
    throw new AppError(
      'invalid',
      `Daily spend cap reached (${decimals(today - amount)} of ${decimals(daily)} TCK locked today)`,
    );
}
