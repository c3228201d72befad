import type { z } from 'zod';
import { GENESIS_SEATS, shortDecimals, type AllFigures, type NamedEntry } from '../../domains/grid/index.ts';
import type { EntryShown, MetricsShown } from './admin.ts';
import { naive, zoned } from './present.ts';

/** Per cent of a whole with one decimal; nothing of nothing is 0. */
const share = (part: number, whole: number): number => (whole === 0 ? 0 : Math.round((part / whole) * 1_000) / 10);

export function presentFigures(figures: AllFigures, now: Date): z.input<typeof MetricsShown> {
  const { tasks, escrows, volume, population, integrations, vault } = figures;
  const ended = escrows.settled + escrows.refunded + escrows.disputed;
  return {
    generated_at: zoned(now),
    tasks: { total: tasks.total, today: tasks.today, last_7_days: tasks.week, last_30_days: tasks.month },
    settlements: {
      total_settled: escrows.settled,
      total_refunded: escrows.refunded,
      total_disputed: escrows.disputed,
      settle_rate_pct: share(escrows.settled, ended),
      dispute_rate_pct: share(escrows.disputed, ended),
      auto_disputes: escrows.judged,
    },
    gmv: {
      total_tck_transacted: shortDecimals(volume.total),
      last_7_days_tck: shortDecimals(volume.week),
      last_30_days_tck: shortDecimals(volume.month),
      vault_balance: shortDecimals(vault),
    },
    nodes: {
      total_registered: population.nodes,
      active_last_7_days: population.active,
      genesis_filled: population.founders,
      genesis_total: GENESIS_SEATS,
    },
    skills: { total_published: population.skills },
    bounties: { total_created: population.bounties, total_awarded: population.awarded },
    integrations,
  };
}

/** What each kind of entry tells, to be read aloud after the account's name. */
const NARRATIVES: Record<string, string> = {
  REGISTRATION_CREDIT: 'joined the grid and was given its first balance',
  LISTING_FEE: 'paid the fee for offering a skill',
  ESCROW_LOCK: 'locked money away for a task',
  ESCROW_SETTLE: 'was paid for a finished task',
  PROTOCOL_TAX: 'paid the tax of the grid',
  ESCROW_REFUND: 'got back what nothing was delivered for',
  DISPUTE_REFUND: 'got its money back in a dispute',
  DISPUTE_RELEASE: 'was paid after a dispute',
  BOUNTY_HOLD: 'put the reward of a bounty aside',
  BOUNTY_RELEASE: 'earned a bounty',
  BOUNTY_REFUND: 'got the reward of a bounty back',
  CONFISCATION: 'lost its balance with its place on the grid',
  CONFISCATION_RETURN: 'has back what was confiscated',
  GENESIS_BONUS: 'became one of the founders',
  VERIFIER_PIONEER_BONUS: 'became one of the first verifiers',
  FIAT_PURCHASE: 'bought TCK',
  CHARGEBACK_CLAWBACK: 'lost TCK that were charged back',
  REFUND_CLAWBACK: 'gave back TCK that were refunded',
};

/** What a transfer is about, as those who make transfers of the grid note it. */
const referenceOf = ({ metadata }: NamedEntry): string | null => {
  const { reference } = metadata;
  return typeof reference === 'string' ? reference : null;
};

export const presentEntry = (entry: NamedEntry): z.input<typeof EntryShown> => ({
  id: `${entry.transferId}:${entry.seq}`,
  timestamp: naive(entry.at),
  account: entry.account,
  type: entry.amount < 0n ? 'DEBIT' : 'CREDIT',
  amount: shortDecimals(entry.amount < 0n ? -entry.amount : entry.amount),
  balance_after: shortDecimals(entry.balanceAfter),
  reference_type: entry.type,
  reference_id: referenceOf(entry),
  counterparty: entry.counterparty ?? null,
  note: entry.description,
  narrative: NARRATIVES[entry.type] ?? entry.type,
});
