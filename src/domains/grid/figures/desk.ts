import type { Op } from '../../../kernel/op.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import { after, DAY, elapsedMs, MINUTE } from '../../../kernel/time.ts';
import type { Proof } from '../../ledger/index.ts';
import { GENESIS_SEATS, PIONEER_SEATS } from '../reputation/badges.ts';
import type { GridWorld } from '../world.ts';
import { topSellers, topSkills } from './analytics-store.ts';
import { daysUpTo } from './analytics.ts';
import { dayOf, daysOf, plusDays, type DayFigures, type DayName } from './day.ts';
import { dueToRefund, dueToSettle, nodeStates, oldestDispute, rulingsSince, skillsOnOffer } from './desk-store.ts';
import { readTotals } from './totals-store.ts';

/** How many days the desk shows. */
const DESK_DAYS = 30;
const TOP = 8;
/** The proof reads the whole ledger, so a page that refreshes itself has it made now and then. */
const PROOF_LASTS = 5 * MINUTE;

/** Where all TCK is: what was minted is in one of these places, or something is wrong. */
export type Books = {
  minted: Tck;
  wallets: Tck;
  escrow: Tck;
  bounties: Tck;
  vault: Tck;
  /** What is too much or missing. */
  discrepancy: Tck;
  /** Claims of the proof that did not hold, and when it was made. */
  broken: Proof['discrepancies'];
  provedAt: Date;
  valid: boolean;
};

export type Desk = Awaited<ReturnType<ReturnType<typeof createDesk>>>;

/** Everything that the operator looks at, at one glance. */
export function createDesk(world: GridWorld) {
  const { db } = world;
  const prove = proofKeeper(world);
  return async (op: Op) => {
    const today = dayOf(op.now);
    const span = { first: plusDays(today, 1 - DESK_DAYS), last: today };
    const [nodes, offers, totals, settle, refund, rulings, disputedSince, days, sellers, skills, books] =
      await Promise.all([
        nodeStates(db),
        skillsOnOffer(db),
        readTotals(db),
        dueToSettle(db, op.now),
        dueToRefund(db, op.now),
        rulingsSince(db, after(op.now, -DESK_DAYS * DAY)),
        oldestDispute(db),
        daysUpTo(db, span),
        topSellers(db, span, TOP),
        topSkills(db, span, TOP),
        booksOf(world, op, prove),
      ]);
    return {
      at: op.now,
      nodes,
      skillsOnOffer: offers,
      seats: { genesis: GENESIS_SEATS, pioneers: PIONEER_SEATS },
      tasks: totals.task,
      escrows: totals.escrow,
      bounties: totals.bounty,
      due: { settle, refund },
      rulings,
      disputedSince,
      days: filled(daysOf(span), days),
      sellers,
      skills,
      books,
    };
  };
}

type ProofKeeper = (op: Op) => Promise<{ proof: Proof; at: Date }>;

/** One proof at a time, and for all who look. */
function proofKeeper({ db, ledger }: GridWorld): ProofKeeper {
  let kept: { at: Date; proof: Promise<Proof> } | undefined;
  return async ({ now }) => {
    if (!kept || Math.abs(elapsedMs(kept.at, now)) >= PROOF_LASTS) {
      const made = { at: now, proof: ledger.reconcile(db).then(({ TCK }) => TCK) };
      kept = made;
      // One that could not be made is not kept; whoever waits for it hears why.
      made.proof.catch(() => {
        if (kept === made) kept = undefined;
      });
    }
    const { at, proof } = kept;
    return { at, proof: await proof };
  };
}

async function booksOf({ db, ledger }: GridWorld, op: Op, prove: ProofKeeper): Promise<Books> {
  const [totals, { proof, at }] = await Promise.all([ledger.totals(db), prove(op)]);
  const posted = (kind: string): Tck =>
    tck(totals.find((total) => total.currency === 'TCK' && total.kind === kind)?.posted ?? 0n);
  const places = {
    wallets: posted('wallet'),
    escrow: posted('escrow'),
    bounties: posted('bounty'),
    vault: posted('vault'),
  };
  const minted = tck(-posted('mint'));
  const discrepancy = tck(minted - Object.values(places).reduce((sum, amount) => sum + amount, 0n));
  const valid = proof.valid && discrepancy === 0n;
  return { minted, ...places, discrepancy, broken: proof.discrepancies, provedAt: at, valid };
}

/** A day on which nothing happened is a day too. */
function filled(names: readonly DayName[], days: readonly DayFigures[]): DayFigures[] {
  const known = new Map(days.map((figures) => [figures.day, figures]));
  return names.map((day) => known.get(day) ?? { ...EMPTY, day });
}

const NO_TCK = tck(0n);
const EMPTY = {
  nodes: 0,
  newNodes: 0,
  activeNodes: 0,
  firstTrades: 0,
  sandboxTrades: 0,
  skills: 0,
  tasksCreated: 0,
  tasksCompleted: 0,
  escrows: 0,
  locked: NO_TCK,
  settled: 0,
  volume: NO_TCK,
  tax: NO_TCK,
  refunded: 0,
  disputed: 0,
};
