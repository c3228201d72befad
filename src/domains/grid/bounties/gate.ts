import { AppError } from '../../../kernel/errors.ts';
import { levelOf, LEVELS } from '../reputation/levels.ts';
import type { GridWorld, NodeOp } from '../world.ts';

/** Throws `forbidden` for a node below a level, where the operator lets levels decide. */
export function requireLevel({ settings }: Pick<GridWorld, 'settings'>, { node }: NodeOp, least: number): void {
  const current = levelOf(node.spent, node.cri);
  if (!settings.levelGates || current.id >= least) return;
  throw new AppError(
    'forbidden',
    `Level gate: requires ${LEVELS[least]?.name} (level ${least}), current level is ${current.name} (${current.id})`,
  );
}
