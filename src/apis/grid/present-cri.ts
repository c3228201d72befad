import type { z } from 'zod';
import {
  ageDays,
  decimals,
  MOST,
  partnersOf,
  PER_STRIKE,
  shareOf,
  tradesOf,
  type Factor,
  type Penalty,
  type Rating,
} from '../../domains/grid/index.ts';
import type { Part } from './reputation.ts';

type PartShown = z.input<typeof Part>;

const hundredths = (value: number): number => Math.round(value * 100) / 100;

/** What the index is made of, with the figures that each part comes from. */
export function presentFactors({ node, standing, cri }: Rating, now: Date): Record<Factor, PartShown> {
  const { factors } = cri;
  const [trades, partners, days] = [tradesOf(standing), partnersOf(standing), ageDays(node, now)];
  const part = (name: Factor, description: string, raw: Record<string, unknown> = {}): PartShown => ({
    value: hundredths(factors[name]),
    max: MOST[name],
    ...raw,
    description,
  });
  const volume = decimals(standing.volume);
  return {
    base: part('base', 'Every node begins with it'),
    transaction_score: part('transaction_score', `log2(${trades}+1) × 3.33: settled trades`, { raw: trades }),
    diversity_score: part('diversity_score', `${partners} counterparties in ${trades} trades`, {
      raw_unique: partners,
      raw_total: trades,
    }),
    volume_score: part('volume_score', `log10(${volume}+1) × 2.5: TCK traded`, { raw_tck: volume }),
    age_score: part('age_score', `log2(${days}+1) × 1.25: days since it was verified`, { raw_days: days }),
    buyer_activity: part('buyer_activity', '5 points for who has bought and not only sold', {
      raw_buys: standing.bought,
    }),
    genesis_bonus: part('genesis_bonus', 'For the founders', { has_badge: node.genesis !== undefined }),
  };
}

export function presentPenalties({ node, standing, cri }: Rating): Record<Penalty, PartShown> {
  const { penalties } = cri;
  const { disputed, sellerTasks } = standing;
  const part = (name: Penalty, description: string, raw: Record<string, unknown>): PartShown => ({
    value: hundredths(penalties[name]),
    max: MOST[name],
    ...raw,
    description,
  });
  return {
    dispute_penalty: part('dispute_penalty', `${disputed} of ${sellerTasks} deliveries disputed`, {
      disputed,
      total_tasks: sellerTasks,
    }),
    concentration_penalty: part('concentration_penalty', 'For more than half of all trades with one counterparty', {
      ratio: hundredths(shareOf(standing)),
    }),
    strike_penalty: part('strike_penalty', `${node.strikes} strikes × ${PER_STRIKE}`, {
      per_strike: PER_STRIKE,
      strikes: node.strikes,
    }),
  };
}
