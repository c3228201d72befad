import { AppError } from '../../../kernel/errors.ts';
import type { Reputation } from '../reputation/index.ts';
import { LEAST_LEVEL, levelOf, LEVELS } from '../reputation/levels.ts';
import type { GridWorld, NodeOp } from '../world.ts';

export type Gate = Pick<GridWorld, 'settings'> & { reputation: Pick<Reputation, 'rate'> };

/** Throws `forbidden` for a node below the level that something takes, where the operator lets levels decide. */
export async function requireLevel(
  { settings, reputation }: Gate,
  op: NodeOp,
  what: keyof typeof LEAST_LEVEL,
): Promise<void> {
  if (!settings.levelGates) return;
  const least = LEAST_LEVEL[what];
  const { cri } = await reputation.rate(op, op.node);
  const level = levelOf(op.node.spent, cri.score);
  if (level.id >= least) return;
  throw new AppError(
    'forbidden',
    `Level gate: requires ${LEVELS[least]?.name} (level ${least}), current level is ${level.name} (${level.id})`,
  );
}
