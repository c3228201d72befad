import type { SweepDefinition } from '../../platform/jobs/index.ts';
import { createMarket } from './market/index.ts';
import { createNodes } from './nodes/index.ts';
import { createReputation } from './reputation/index.ts';
import { createSigning } from './signing.ts';
import type { GridWorld } from './world.ts';

export { MAX_NODE_ID_LENGTH, MIN_NODE_ID_LENGTH, NODE_ID_PATTERN, type Node } from './nodes/node.ts';
export { MAX_CANARY } from './nodes/canary.ts';
export { CHALLENGE_MS } from './nodes/challenge.ts';
export { SESSION_SECONDS } from './nodes/session.ts';
export type { Activity } from './nodes/store.ts';
export { asNumber, decimals, INITIAL_BALANCE, LISTING_FEE, nearestTck, shortDecimals } from './money.ts';
export { MAX_CATEGORY_LENGTH, MAX_LABEL_LENGTH, MAX_PRICE, SKILL_TYPES, type Skill } from './market/skill.ts';
export type { PriceStats } from './market/store.ts';
export type { Rating } from './reputation/certificate.ts';
export {
  ageDays,
  FORMULA,
  MOST,
  partnersOf,
  PER_STRIKE,
  shareOf,
  tradesOf,
  type Cri,
  type Factor,
  type Penalty,
} from './reputation/cri.ts';
export { LEAST_LEVEL, levelOf, LEVELS, progressOf, type Level, type Progress } from './reputation/levels.ts';
export type { Reported } from './reputation/report.ts';
export type { GridSettings, NodeOp, ReportPolicy } from './world.ts';

export type Grid = ReturnType<typeof createGrid>;

/** The grid: nodes that offer skills, lock money away for one another, and settle when the work is done. */
export function createGrid(world: GridWorld) {
  const signing = createSigning(world);
  const nodes = createNodes(world, signing);
  const market = createMarket(world);
  const reputation = createReputation(world, signing);
  const sweeps: SweepDefinition[] = [...nodes.sweeps, ...reputation.sweeps];
  return { nodes, market, reputation, sweeps };
}
