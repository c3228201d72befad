import type { SweepDefinition } from '../../platform/jobs/index.ts';
import { createBenchmarks } from './benchmarks/index.ts';
import { createBounties } from './bounties/index.ts';
import { createBridge } from './bridge/index.ts';
import { createEscrows } from './escrow/index.ts';
import { createFigures } from './figures/index.ts';
import { createHooks } from './hooks/index.ts';
import { createMarket } from './market/index.ts';
import { createNodes } from './nodes/index.ts';
import { createPortraits } from './portraits/index.ts';
import { createReputation } from './reputation/index.ts';
import { createSandbox } from './sandbox/index.ts';
import { createSigning } from './signing.ts';
import { createSkills } from './skills/index.ts';
import type { GridWorld } from './world.ts';

export type { Run } from './benchmarks/run.ts';
export type { VerifiedSkill } from './benchmarks/store.ts';
export type { BenchmarkCase, Suite } from './benchmarks/suite.ts';
export type { CaseVerdict } from './benchmarks/verdict.ts';
export {
  BOUNTY_CATEGORIES,
  BOUNTY_STATES,
  MAX_DEADLINE_DAYS,
  MAX_REWARD_TCK,
  MAX_SHOWN_SUBMISSIONS,
  MAX_TAG_LENGTH,
  MAX_TAGS,
  MIN_REWARD_TCK,
  type Bounty,
  type Submission,
} from './bounties/bounty.ts';
export type { Award, Cancellation } from './bounties/end.ts';
export type { ShownSubmission } from './bounties/index.ts';
export { BOUNTY_SORTS } from './bounties/store.ts';
export { CAPABILITIES, type Capability } from './bridge/capability.ts';
export type { Watched } from './bridge/watch.ts';
export type { Discovered } from './bridge/store.ts';
export { PERIODS, type AllFigures } from './figures/index.ts';
export type { Analytics } from './figures/analytics.ts';
export type { TopNode, SkillFigures } from './figures/analytics-store.ts';
export type { NamedEntry } from './figures/books.ts';
export { ANALYTICS_PERIODS, EXPORT_PERIODS, type DayFigures } from './figures/day.ts';
export type { Books, Desk } from './figures/desk.ts';
export type { Waiting } from './figures/desk-store.ts';
export type { Sum } from './figures/totals-store.ts';
export { COLUMNS as EXPORT_COLUMNS, EXPORTS, type Cell, type ExportName, type ExportRow } from './figures/export.ts';
export { MAX_NODE_ID_LENGTH, MIN_NODE_ID_LENGTH, NODE_ID_PATTERN, type Node } from './nodes/node.ts';
export { MAX_CANARY } from './nodes/canary.ts';
export { CHALLENGE_MS } from './nodes/challenge.ts';
export { splitOf, type Escrow, type EscrowState } from './escrow/escrow.ts';
export type { CreatedTask, TaskOrder } from './escrow/create-task.ts';
export type { RecordedDecision, RecordedValidation } from './escrow/decision.ts';
export type { Receipt } from './escrow/receipt.ts';
export type { Simulation } from './escrow/simulate.ts';
export type { Listed as ListedTask } from './escrow/task-store.ts';
export type { GridTask, GridTaskStatus, Via } from './escrow/task.ts';
export type { Outcome as SettleOutcome, Tally } from './escrow/tend.ts';
export { MAX_VALIDATOR_NAME_LENGTH, VALIDATOR_TYPES } from './escrow/validators.ts';
export { SESSION_SECONDS } from './nodes/session.ts';
export type { Activity } from './nodes/store.ts';
export {
  asNumber,
  decimals,
  GENESIS_BONUS,
  INITIAL_BALANCE,
  LISTING_FEE,
  nearestTck,
  PIONEER_BONUS,
  shortDecimals,
} from './money.ts';
export {
  MAX_CATEGORY_LENGTH,
  MAX_LABEL_LENGTH,
  MAX_PRICE,
  SKILL_TYPES,
  type OwnSkill,
  type Skill,
} from './market/skill.ts';
export type { Listed, PriceStats } from './market/store.ts';
export { BLUEPRINT, LAWS, MISSION, PROTOCOL, VISION } from './mission.ts';
export type { Portraits } from './portraits/index.ts';
export { saidOf, type Said } from './portraits/said.ts';
export {
  disputeRateOf,
  presenceOf,
  type Founder,
  type NodePortrait,
  type Presence,
  type SkillPortrait,
} from './portraits/portrait.ts';
export type { Rating } from './reputation/certificate.ts';
export {
  ageDays,
  FORMULA,
  GENESIS_FLOOR,
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
export { GENESIS_SEATS, PIONEER_JOBS, PIONEER_SEATS } from './reputation/badges.ts';
export type { Reported } from './reputation/report.ts';
export type { Report } from './reputation/report-store.ts';
export type { Reviewed } from './reputation/review.ts';
export {
  SANDBOX_BALANCE,
  SANDBOX_LIFE_DAYS,
  SANDBOX_CRI,
  SHARE_LIFE_DAYS,
  type Share,
  type Trade,
} from './sandbox/sandbox.ts';
export { isAvailable, type HouseSkill, type Standing } from './skills/skill.ts';
export type { Execution } from './skills/execute.ts';
export type { Probe } from './skills/standing.ts';
export { MAX_SEARCH_REPLY_BYTES } from './skills/search.ts';
export type { GridSettings, NodeOp, ReportPolicy } from './world.ts';

export type Grid = ReturnType<typeof createGrid>;

/** The grid: nodes that offer skills, lock money away for one another, and settle when the work is done. */
export function createGrid(world: GridWorld) {
  const signing = createSigning(world);
  const nodes = createNodes(world, signing);
  const figures = createFigures(world);
  const market = createMarket(world);
  const reputation = createReputation(world, signing);
  const escrow = createEscrows(world);
  const bounties = createBounties(world, reputation);
  const sandbox = createSandbox(world);
  const bridge = createBridge(world, escrow, reputation);
  const benchmarks = createBenchmarks(world);
  const hooks = createHooks();
  const skills = createSkills({ ...world, internalKey: world.settings.internalKey });
  const portraits = createPortraits(world, { market, reputation });
  const parts = [nodes, figures, reputation, escrow, bounties, sandbox, benchmarks];
  const sweeps: SweepDefinition[] = parts.flatMap((part) => part.sweeps);
  return {
    nodes,
    figures,
    market,
    reputation,
    escrow,
    bounties,
    sandbox,
    bridge,
    benchmarks,
    hooks,
    portraits,
    skills,
    sweeps,
  };
}
