import { CURRENCY_SCALE } from '../../../kernel/money.ts';
import { DAY, elapsedMs } from '../../../kernel/time.ts';
import type { Standing } from '../escrow/standing-store.ts';
import type { Node } from '../nodes/node.ts';

/** The reputation index of a node, from 0 to 100, and what it is made of. */
export type Cri = {
  score: number;
  factors: Record<Factor, number>;
  penalties: Record<Penalty, number>;
  /** What is left of it after a long time without a trade. */
  decay: number;
  /** The least that it is, for a founder in its first time. */
  floor: number | undefined;
};
export type Factor =
  | 'base'
  | 'transaction_score'
  | 'diversity_score'
  | 'volume_score'
  | 'age_score'
  | 'buyer_activity'
  | 'genesis_bonus';
export type Penalty = 'dispute_penalty' | 'concentration_penalty' | 'strike_penalty';

/** The most that each factor adds, and each penalty takes: three strikes end a node. */
export const MOST = {
  base: 30,
  transaction_score: 20,
  diversity_score: 15,
  volume_score: 10,
  age_score: 10,
  buyer_activity: 5,
  genesis_bonus: 10,
  dispute_penalty: 25,
  concentration_penalty: 10,
  strike_penalty: 45,
} as const satisfies Record<Factor | Penalty, number>;

export const FORMULA =
  'round(clamp(base + transactions + diversity + volume + age + buyer + genesis - disputes - concentration - strikes, 0, 100) × decay, 1), at least the genesis floor';

/** What a sandbox node has to begin with. */
const SANDBOX_BASE = 50;
const PER_DOUBLED_TRADES = 3.33;
const PER_TENFOLD_VOLUME = 2.5;
const PER_DOUBLED_AGE = 1.25;
export const PER_STRIKE = 15;
const CONCENTRATION_WEIGHT = 20;
/** Below so many trades nobody can be called concentrated. */
const LEAST_TRADES = 5;
const FAIR_SHARE = 0.5;
const DECAY_AFTER = 90 * DAY;
const DECAY_YEAR_DAYS = 365;
const LEAST_DECAY = 0.5;
export const GENESIS_FLOOR = 30;
export const GENESIS_FLOOR_LASTS = 180 * DAY;
/** So many strikes end a node, and every protection before that. */
export const MAX_STRIKES = 3;
/** Ended by strikes, and not by its time or by another system. */
export const isBanned = ({ active, strikes }: Pick<Node, 'active' | 'strikes'>): boolean =>
  !active && strikes >= MAX_STRIKES;

type Rated = Pick<Node, 'active' | 'sandbox' | 'strikes' | 'genesis' | 'createdAt'>;

/** Computes the index of a node as it is now. That of a banned one is 0. */
export function criOf(node: Rated, standing: Standing, now: Date): Cri {
  const factors = factorsOf(node, standing, now);
  const penalties = penaltiesOf(node, standing);
  const raw = sum(factors) - sum(penalties);
  const decay = decayOf(standing.lastSettledAt, now);
  const floor = floorOf(node, standing.firstSoldAt, now);
  const decayed = Math.min(100, Math.max(0, raw)) * decay;
  return { score: node.active ? rounded(Math.max(decayed, floor ?? 0)) : 0, factors, penalties, decay, floor };
}

/** What a node has before anything has happened. */
export const baseOf = ({ sandbox }: Pick<Node, 'sandbox'>): number => (sandbox ? SANDBOX_BASE : MOST.base);

function factorsOf(node: Rated, standing: Standing, now: Date): Cri['factors'] {
  const trades = tradesOf(standing);
  const partners = partnersOf(standing);
  const volume = Number(standing.volume) / 10 ** CURRENCY_SCALE.TCK;
  return {
    base: baseOf(node),
    transaction_score: Math.min(MOST.transaction_score, PER_DOUBLED_TRADES * Math.log2(trades + 1)),
    diversity_score: trades === 0 ? 0 : MOST.diversity_score * Math.min(1, partners / trades),
    volume_score: Math.min(MOST.volume_score, PER_TENFOLD_VOLUME * Math.log10(volume + 1)),
    age_score: Math.min(MOST.age_score, PER_DOUBLED_AGE * Math.log2(ageDays(node, now) + 1)),
    buyer_activity: standing.bought > 0 ? MOST.buyer_activity : 0,
    genesis_bonus: node.genesis ? MOST.genesis_bonus : 0,
  };
}

function penaltiesOf(node: Rated, standing: Standing): Cri['penalties'] {
  const { disputed, sellerTasks } = standing;
  const isJudged = tradesOf(standing) >= LEAST_TRADES;
  return {
    dispute_penalty: sellerTasks === 0 ? 0 : (MOST.dispute_penalty * disputed) / sellerTasks,
    concentration_penalty: isJudged ? CONCENTRATION_WEIGHT * Math.max(0, shareOf(standing) - FAIR_SHARE) : 0,
    strike_penalty: PER_STRIKE * node.strikes,
  };
}

export const tradesOf = ({ sold, bought }: Standing): number => sold + bought;
export const partnersOf = ({ buyers, sellers }: Standing): number => buyers + sellers;
/** What part of its trades a node has with the one that it has most to do with. */
export const shareOf = (standing: Standing): number =>
  tradesOf(standing) === 0 ? 0 : standing.largestShare / tradesOf(standing);
/** Whole days since it was verified. */
export const ageDays = ({ createdAt }: Pick<Node, 'createdAt'>, now: Date): number =>
  Math.max(0, Math.floor(elapsedMs(createdAt, now) / DAY));

function decayOf(lastSettledAt: Date | undefined, now: Date): number {
  if (!lastSettledAt) return 1;
  const idleMs = elapsedMs(lastSettledAt, now);
  if (idleMs <= DECAY_AFTER) return 1;
  return Math.max(LEAST_DECAY, 1 - (idleMs - DECAY_AFTER) / DAY / DECAY_YEAR_DAYS);
}

function floorOf({ genesis, strikes }: Rated, firstSoldAt: Date | undefined, now: Date): number | undefined {
  if (!genesis || !firstSoldAt || strikes >= MAX_STRIKES) return undefined;
  return elapsedMs(firstSoldAt, now) <= GENESIS_FLOOR_LASTS ? GENESIS_FLOOR : undefined;
}

const sum = (values: Record<string, number>): number =>
  Object.values(values).reduce((total, value) => total + value, 0);
const rounded = (value: number): number => Math.round(value * 10) / 10;
