import { AppError } from '../../../kernel/errors.ts';
import type { EscrowId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Op } from '../../../kernel/op.ts';
import { after, MINUTE } from '../../../kernel/time.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFacts } from '../../../platform/outbox.ts';
import type { NodeOp } from '../world.ts';
import type { EscrowWorld } from './world.ts';
import type { Court } from './court.ts';
import { insertDecisions, insertValidations } from './decision-store.ts';
import { splitOf, type Escrow } from './escrow.ts';
import { escrowFact } from './facts.ts';
import { partyEscrow } from './open.ts';
import { paySellers, refundBuyers, taxOn } from './settle.ts';
import {
  askFirst,
  dueEscrows,
  dueForJudging,
  findDue,
  findEscrow,
  moveEscrows,
  overdueEscrows,
  postpone,
  type Due,
} from './store.ts';
import { followEscrows } from './task-store.ts';
import { isParty } from './task.ts';
import { judgeAll, type Judgement } from './verdict.ts';

/** Escrows that are settled in one transaction. */
const BATCH = 500;
/** Of those that have to be judged: a customer's pattern may take as long as the court lets it. */
const RULED_BATCH = 50;
/** What could not be ended is tried again after this time. */
const RETRY_MS = 5 * MINUTE;

/** What stands behind settling. Whoever only plays waits for others that play: their money is judged at a court apart. */
export type Settling = EscrowWorld & { court: Court; playCourt: Court };

/** What needs no judging, what has to be judged, and the same of sandbox nodes. */
export const QUEUES = ['plain', 'ruled', 'played'] as const;
export type Queue = (typeof QUEUES)[number];

/**
 * What a round has done. `flagged`: the operator has to decide. `held`: due to a node that is banned. `failed`: tried again
 * later.
 */
export type Tally = { settled: number; refunded: number; flagged: number; held: number; failed: number; tax: Tck };
const NOTHING: Tally = { settled: 0, refunded: 0, flagged: 0, held: 0, failed: 0, tax: tck(0n) };

const sumOf = (tallies: readonly Tally[]): Tally =>
  tallies.reduce(
    (sum, one) => ({
      settled: sum.settled + one.settled,
      refunded: sum.refunded + one.refunded,
      flagged: sum.flagged + one.flagged,
      held: sum.held + one.held,
      failed: sum.failed + one.failed,
      tax: tck(sum.tax + one.tax),
    }),
    NOTHING,
  );

/** Settles a batch of what is due in one queue: nobody's rules hold up money in another. */
export async function settleDue(world: Settling, op: Op, queue: Queue): Promise<Tally> {
  const { db } = world;
  const due =
    queue === 'plain'
      ? await dueEscrows(db, op.now, BATCH)
      : await dueForJudging(db, op.now, { sandbox: queue === 'played', limit: RULED_BATCH });
  return judgeAndDecide(world, op, due);
}

/** How many escrows a round has dealt with. What has failed or is held waits, so that those behind it are the next. */
export const doneIn = ({ settled, refunded, flagged, held, failed }: Tally): number =>
  settled + refunded + flagged + held + failed;

/** All of it: a round that finds nothing is the last. */
export async function settleEverything(world: Settling, op: Op): Promise<Tally> {
  const rounds: Tally[] = [];
  for (const queue of QUEUES)
    for (let done = 1; done > 0 && !op.signal.aborted;) {
      const round = await settleDue(world, op, queue);
      rounds.push(round);
      done = doneIn(round);
    }
  return sumOf(rounds);
}

type Judged = { due: Due; judgement: Judgement };

/** Judging takes its time, so nothing is locked meanwhile. What is judged does not change any more. */
async function judgeAndDecide(world: Settling, op: Op, all: readonly Due[]): Promise<Tally> {
  if (all.length === 0) return NOTHING;
  const judgements = await judge(world, all);
  return decideAll(
    world,
    op,
    all.map((due, n) => ({ due, judgement: judgements[n] ?? { outcome: 'clean', validations: [] } })),
  );
}

/** A bare escrow is of no task: its parties have agreed on nothing that could be judged. */
async function judge(world: Settling, all: readonly Due[]): Promise<Judgement[]> {
  const withTask = all.flatMap(({ task, metadata }) => (task ? [{ ...task, metadata }] : []));
  const court = all.every(({ escrow }) => escrow.sandbox) ? world.playCourt : world.court;
  const judged = await judgeAll({ ...world, court }, withTask);
  return all.map(({ task }) => (task && judged.shift()) || { outcome: 'clean', validations: [] });
}

async function decideAll(world: Settling, op: Op, all: readonly Judged[]): Promise<Tally> {
  const tallies = await isolating(all, {
    act: (some) => world.db.transact((tx) => decide(world, tx, op, some)),
    giveUp: async ({ due }, error) => {
      await putOff(world, op, due.escrow.id, error);
      return { ...NOTHING, failed: 1 };
    },
  });
  return sumOf(tallies);
}

type Isolated<Item, Done> = {
  act(some: readonly Item[]): Promise<Done>;
  giveUp(one: Item, error: unknown): Promise<Done>;
};

/** Acts on all at once; where that fails, on each half, until what is wrong is alone and hinders no other. */
async function isolating<Item, Done>(all: readonly Item[], what: Isolated<Item, Done>): Promise<Done[]> {
  try {
    return [await what.act(all)];
  } catch (error) {
    const [only] = all;
    if (only === undefined) throw error;
    if (all.length === 1) return [await what.giveUp(only, error)];
    const half = Math.ceil(all.length / 2);
    const first = await isolating(all.slice(0, half), what);
    return [...first, ...(await isolating(all.slice(half), what))];
  }
}

async function putOff({ db, log }: EscrowWorld, op: Op, id: EscrowId, error: unknown): Promise<void> {
  log.error({ escrowId: id, err: error }, 'an escrow could not be ended');
  await db.transact((tx) => postpone(tx, id, after(op.now, RETRY_MS)));
}

async function decide(world: Settling, tx: Tx, op: Op, all: readonly Judged[]): Promise<Tally> {
  const of = (outcome: Judgement['outcome']) => all.filter(({ judgement }) => judgement.outcome === outcome);
  const paid = await paySellers(world, tx, op, {
    event: 'settle',
    type: 'ESCROW_SETTLE',
    ids: of('clean').map(({ due }) => due.escrow.id),
  });
  const causes = of('broken').map(causeOf);
  const refunded = await refundBuyers(world, tx, op, { event: 'break_rule', type: 'ESCROW_REFUND', causes });
  const flagged = await flag(tx, op, of('unclear'));
  for (const { due, judgement } of all)
    if (due.task && judgement.validations.length > 0)
      await insertValidations(tx, due.task.id, judgement.validations, op.now);
  return {
    settled: paid.moved.length,
    refunded: refunded.moved.length,
    flagged: flagged.length,
    held: paid.held + refunded.held,
    failed: 0,
    tax: taxOn(paid.moved),
  };
}

const causeOf = ({ due, judgement }: Judged) => ({
  id: due.escrow.id,
  rule: judgement.broken?.rule ?? ('VALIDATOR_FAILED' as const),
  details: judgement.broken?.details ?? null,
});

/** What nobody can judge waits for the operator, like a dispute of its buyer's. */
async function flag(tx: Tx, op: Op, all: readonly Judged[]): Promise<Escrow[]> {
  if (all.length === 0) return [];
  const causes = all.map(causeOf);
  const moves = causes.map(({ id, rule }) => ({ id, reason: rule }));
  const escrows = await moveEscrows(tx, 'dispute', moves, op.now);
  const ids = escrows.map(({ id }) => id);
  await followEscrows(tx, ids, 'DISPUTED');
  const moved = causes.filter(({ id }) => ids.includes(id));
  await insertDecisions(
    tx,
    moved.map(({ id, rule, details }) => ({ escrowId: id, taskId: null, rule, details, action: 'FLAGGED_MANUAL' })),
    op.now,
  );
  await recordFacts(
    tx,
    op,
    escrows.map((escrow) => escrowFact('escrow.disputed', escrow)),
  );
  return escrows;
}

/** Gives back a batch of what nobody has delivered against in time. */
export async function refundOverdue(world: EscrowWorld, op: Op): Promise<Tally> {
  const ids = await overdueEscrows(world.db, op.now, BATCH);
  if (ids.length === 0) return NOTHING;
  const tallies = await isolating(ids, {
    act: (some) => giveBackOverdue(world, op, some),
    giveUp: async (id, error) => {
      await putOff(world, op, id, error);
      return { ...NOTHING, failed: 1 };
    },
  });
  return sumOf(tallies);
}

async function giveBackOverdue(world: EscrowWorld, op: Op, ids: readonly EscrowId[]): Promise<Tally> {
  const causes = ids.map((id) => ({ id, rule: 'TIMEOUT_NON_DELIVERY' as const, details: null }));
  const { moved, held } = await world.db.transact((tx) =>
    refundBuyers(world, tx, op, { event: 'time_out', type: 'ESCROW_REFUND', causes }),
  );
  return { ...NOTHING, refunded: moved.length, held };
}

/** What became of an escrow that a party wanted settled. */
export type Outcome =
  | { status: 'SETTLED'; payout: Tck; tax: Tck }
  | { status: 'REFUNDED' | 'DISPUTED'; reason: string | null };

/**
 * Settles an escrow at the word of one of its parties, by the same rules as those that are settled by themselves. Where
 * that has happened already, the first party that asks is told what it came to.
 */
export async function settleNow(world: Settling, op: NodeOp, id: EscrowId | undefined): Promise<Outcome> {
  const { db } = world;
  // Here clients expect to hear that it is others'.
  const escrow = id && (await findEscrow(db, id));
  if (!escrow) throw new AppError('not_found', 'Escrow not found');
  if (!isParty(escrow, op.node.id)) throw new AppError('forbidden', 'Not a party to this escrow');
  if (escrow.state === 'AWAITING_SETTLEMENT') {
    if (escrow.settleAt && escrow.settleAt > op.now)
      throw new AppError('invalid', `Dispute window open until ${naiveIso(escrow.settleAt)}Z`);
    const due = await findDue(db, escrow.id);
    if (due) await judgeAndDecide(world, op, [due]);
  }
  const now = await partyEscrow(db, op, id);
  if (now.state === 'SETTLED' && (await db.transact((tx) => askFirst(tx, now.id, op.now))))
    return { status: 'SETTLED', ...splitOf(now.amount) };
  const isDecidedNow = escrow.state === 'AWAITING_SETTLEMENT';
  if (isDecidedNow && (now.state === 'REFUNDED' || now.state === 'DISPUTED'))
    return { status: now.state, reason: now.reason };
  throw new AppError('invalid', 'Escrow not ready for settlement');
}

/** As this contract writes times in sentences: the zone stands behind. */
const naiveIso = (at: Date): string => `${at.toISOString().slice(0, -1)}000`;
