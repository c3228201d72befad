import { AppError } from '../../../kernel/errors.ts';
import { nearestTck } from '../money.ts';
import type { Node } from '../nodes/node.ts';
import type { GridWorld, NodeOp } from '../world.ts';

const LEVELS = [
  { id: 0, name: 'Spawn', spent: 0, reputation: 0 },
  { id: 1, name: 'Worker', spent: 100, reputation: 0 },
  { id: 2, name: 'Artisan', spent: 1_000, reputation: 50 },
];
const levelOf = ({ spent, reputation }: Node) =>
  LEVELS.findLast((level) => spent >= nearestTck(level.spent) && reputation >= level.reputation);

/** Throws `forbidden` for a node below a level, where the operator lets levels decide. */
export function requireLevel({ settings }: Pick<GridWorld, 'settings'>, { node }: NodeOp, least: number): void {
  const current = levelOf(node);
  if (!settings.levelGates || !current || current.id >= least) return;
  throw new AppError(
    'forbidden',
    `Level gate: requires ${LEVELS[least]?.name} (level ${least}), current level is ${current.name} (${current.id})`,
  );
}
