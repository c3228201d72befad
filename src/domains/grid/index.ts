import type { SweepDefinition } from '../../platform/jobs/index.ts';
import { createEscrows } from './escrow/index.ts';
import { createNodes } from './nodes/index.ts';
import { createSigning } from './signing.ts';
import type { GridWorld } from './world.ts';

export { MAX_NODE_ID_LENGTH, MIN_NODE_ID_LENGTH, NODE_ID_PATTERN, type Node } from './nodes/node.ts';
export { CHALLENGE_MS } from './nodes/challenge.ts';
export { MAX_ESCROW, splitOf, type Escrow, type EscrowState } from './escrow/escrow.ts';
export type { CreatedTask, TaskOrder } from './escrow/create-task.ts';
export type { RecordedDecision, RecordedValidation } from './escrow/decision.ts';
export type { Receipt } from './escrow/receipt.ts';
export type { Simulation } from './escrow/simulate.ts';
export type { Listed as ListedTask } from './escrow/task-store.ts';
export type { GridTask, GridTaskStatus, Via } from './escrow/task.ts';
export type { Outcome as SettleOutcome, Tally } from './escrow/tend.ts';
export { MAX_VALIDATOR_NAME_LENGTH, VALIDATOR_TYPES } from './escrow/validators.ts';
export { asNumber, decimals, INITIAL_BALANCE, LISTING_FEE, nearestTck, shortDecimals } from './money.ts';
export type { GridSettings, NodeOp, ReportPolicy } from './world.ts';

export type Grid = ReturnType<typeof createGrid>;

/** The grid: nodes that offer skills, lock money away for one another, and settle when the work is done. */
export function createGrid(world: GridWorld) {
  const signing = createSigning(world);
  const nodes = createNodes(world, signing);
  const escrow = createEscrows(world);
  const sweeps: SweepDefinition[] = [...nodes.sweeps, ...escrow.sweeps];
  return { nodes, escrow, sweeps };
}
