import type { z } from 'zod';
import { asNumber, GENESIS_SEATS, type Analytics, type DayFigures } from '../../domains/grid/index.ts';
import type { AnalyticsShown } from './analytics.ts';

const RATE_PRECISION = 10_000;
const MEAN_PRECISION = 100;

/** A part of a whole with four decimals; nothing of nothing is 0. */
const rate = (part: number, whole: number): number =>
  whole === 0 ? 0 : Math.round((part / whole) * RATE_PRECISION) / RATE_PRECISION;
const mean = (value: number): number => Math.round(value * MEAN_PRECISION) / MEAN_PRECISION;
const total = (days: readonly DayFigures[], of: (day: DayFigures) => number): number =>
  days.reduce((sum, day) => sum + of(day), 0);

export function presentAnalytics(analytics: Analytics): z.input<typeof AnalyticsShown> {
  const { period, span, nodes, economy, listed, trend } = analytics;
  return {
    period,
    range: { start: span.first, end: span.last },
    nodes: {
      total: nodes.total,
      new: nodes.fresh,
      sandbox_total: nodes.sandbox,
      sandbox_new: nodes.freshSandbox,
      active_buyers: nodes.buyers,
      active_sellers: nodes.sellers,
      by_country: [],
    },
    tasks: presentWork(analytics),
    economy: {
      gmv_tck: asNumber(economy.gmv),
      tax_collected_tck: asNumber(analytics.tax),
      vault_balance_tck: asNumber(analytics.vault),
      settled: economy.settled,
      refunded: economy.refunded,
      disputed: economy.disputed,
      settle_rate: rate(economy.settled, economy.settled + economy.refunded + economy.disputed),
    },
    skills: { total: listed.total, published_in_period: listed.published },
    genesis: {
      filled: nodes.founders,
      total_slots: GENESIS_SEATS,
      fill_rate: rate(nodes.founders, GENESIS_SEATS),
    },
    funnel: presentFunnel(analytics),
    cri: presentIndexes(analytics),
    daily_trend: trend.map(({ day, activeNodes, tasksCreated, locked }) => ({
      date: day,
      active_nodes: activeNodes,
      tasks: tasksCreated,
      tck_volume: asNumber(locked),
    })),
  };
}

function presentWork({ work, skills }: Analytics) {
  const created = work.reduce((sum, way) => sum + way.created, 0);
  const completed = work.reduce((sum, way) => sum + way.completed, 0);
  return {
    created,
    completed,
    completion_rate: rate(completed, created),
    by_protocol: Object.fromEntries(work.map((way) => [way.protocol, way.created])),
    by_provider: {},
    top_skills: skills.map(({ label, count }) => ({ skill: label, count })),
  };
}

function presentFunnel({ days, nodes }: Analytics) {
  const firstTrades = total(days, (day) => day.firstTrades);
  return {
    sandbox_trades: total(days, (day) => day.sandboxTrades),
    registrations: nodes.fresh,
    first_trades: firstTrades,
    sandbox_to_register: nodes.wentOn,
    conversion_sandbox_to_register: rate(nodes.wentOn, nodes.freshSandbox),
    conversion_register_to_trade: rate(firstTrades, nodes.fresh),
  };
}

function presentIndexes({ index }: Analytics): z.input<typeof AnalyticsShown>['cri'] {
  if (!index) return {};
  const parts = Object.entries(index.parts).map(([name, value]) => [name, mean(value)]);
  return {
    snapshots: index.count,
    avg_components: Object.fromEntries(parts) as Record<string, number>,
    avg_cri: mean(index.mean),
    min_cri: index.least,
    max_cri: index.most,
  };
}
