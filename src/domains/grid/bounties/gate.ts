import { AppError } from '../../../kernel/errors.ts';
import type { Op } from '../../../kernel/op.ts';
import type { Node } from '../nodes/node.ts';
import type { GridWorld, NodeOp } from '../world.ts';

export type Level = { id: number; name: string };
/** The level of a node, and the names of all levels. */
export type Levels = { of(op: Op, node: Node): Promise<Level>; name(id: number): string };

/** Throws `forbidden` for a node below a level, where the operator lets levels decide. */
export async function requireLevel({ settings }: GridWorld, levels: Levels, op: NodeOp, least: number): Promise<void> {
  if (!settings.levelGates) return;
  const { id, name } = await levels.of(op, op.node);
  if (id >= least) return;
  throw new AppError(
    'forbidden',
    `Level gate: requires ${levels.name(least)} (level ${least}), current level is ${name} (${id})`,
  );
}
