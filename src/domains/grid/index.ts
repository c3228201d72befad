import type { SweepDefinition } from '../../platform/jobs/index.ts';
import { createHooks } from './hooks/index.ts';
import { createNodes } from './nodes/index.ts';
import { createSigning } from './signing.ts';
import type { GridWorld } from './world.ts';

export { MAX_NODE_ID_LENGTH, MIN_NODE_ID_LENGTH, NODE_ID_PATTERN, type Node } from './nodes/node.ts';
export { CHALLENGE_MS } from './nodes/challenge.ts';
export { asNumber, decimals, INITIAL_BALANCE, LISTING_FEE, nearestTck, shortDecimals } from './money.ts';
export type { GridSettings, NodeOp, ReportPolicy } from './world.ts';

export type Grid = ReturnType<typeof createGrid>;

/** The grid: nodes that offer skills, lock money away for one another, and settle when the work is done. */
export function createGrid(world: GridWorld) {
  const signing = createSigning(world);
  const nodes = createNodes(world, signing);
  const sweeps: SweepDefinition[] = [...nodes.sweeps];
  const hooks = createHooks();
  return { nodes, hooks, sweeps };
}
