import { AppError } from '../../../kernel/errors.ts';
import type { Tck } from '../../../kernel/money.ts';
import { recordFact } from '../../../platform/outbox.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import type { Node } from './node.ts';
import { putCanary } from './store.ts';

/** Whole TCK; more is no limit. */
export const MAX_CANARY = 1_000_000_000;

/** What is to change: `null` removes a limit, what is left out stays. */
export type CanaryChange = { daily?: Tck | null | undefined; perTask?: Tck | null | undefined };

/** Bounds what a node lets itself lock away. */
export function setCanary({ db }: GridWorld, op: NodeOp, change: CanaryChange): Promise<Node['canary']> {
  return db.transact(async (tx) => {
    const canary = await putCanary(tx, op.node.id, change);
    if (!canary) throw new AppError('unauthenticated', 'Node not found or banned');
    await recordFact(tx, op, {
      type: 'node.canary_set',
      subject: op.node.id,
      accountId: op.actor.accountId,
      data: {
        nodes: [op.node.id],
        daily: canary.daily?.toString() ?? null,
        perTask: canary.perTask?.toString() ?? null,
      },
    });
    return canary;
  });
}
