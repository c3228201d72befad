import type { Op } from '../../../kernel/op.ts';
import { after, DAY, MINUTE } from '../../../kernel/time.ts';
import type { Db } from '../../../platform/db.ts';
import { standings, type Standing } from '../escrow/standing-store.ts';
import { asNumber } from '../money.ts';
import type { Node } from '../nodes/node.ts';
import { findNodes } from '../nodes/store.ts';
import { ageDays, baseOf, criOf, partnersOf, tradesOf } from '../reputation/cri.ts';
import type { GridWorld } from '../world.ts';
import {
  dayNow,
  forgetNodeDays,
  keepDay,
  keepIndexes,
  keepNodeDays,
  lockDay,
  newestDay,
  nextEvent,
  nodesOfDay,
  unfinishedDay,
  type KeptCri,
} from './day-store.ts';
import { dayOf, endOf, plusDays, type DayName } from './day.ts';

/** Today is taken anew when what was taken of it is as old as this. */
const FRESH_FOR = 15 * MINUTE;
/** What single nodes did is kept for a year and some more. */
const KEPT_DAYS = 400;
/** Nodes whose index is worked out at once. */
const BATCH = 200;
const PRECISION = 10_000;
const BEGINNING = new Date(0);

/** Writes down what happened on the grid on a day, so far. Taken twice it is still one day. */
export async function takeDay(
  world: GridWorld,
  op: Op,
  day: DayName = dayOf(op.now),
): Promise<{ day: DayName; nodes: number }> {
  const nodes = await world.db.transact(async (tx) => {
    await lockDay(tx, day);
    await keepDay(tx, await dayNow(tx, day), op.now);
    await forgetNodeDays(tx, plusDays(dayOf(op.now), -KEPT_DAYS));
    return keepNodeDays(tx, day);
  });
  // The index is as of now: of a day that is long over nobody knows it any more.
  if (op.now < after(endOf(day), DAY)) await rateAll(world, op, day);
  return { day, nodes };
}

/** Takes the day that is due, if one is: one that was not over yet, one that nobody took, or today once more. */
export async function takeDueDay(world: GridWorld, op: Op): Promise<number> {
  const day = await dueDay(world.db, op.now);
  if (day) await takeDay(world, op, day);
  return day ? 1 : 0;
}

async function dueDay(db: Db, now: Date): Promise<DayName | undefined> {
  const unfinished = await unfinishedDay(db, now);
  if (unfinished) return unfinished;
  const today = dayOf(now);
  const newest = await newestDay(db);
  if (newest && newest.day > today) return undefined;
  if (newest?.day === today) return newest.takenAt <= after(now, -FRESH_FOR) ? today : undefined;
  const event = await nextEvent(db, newest ? endOf(newest.day) : BEGINNING);
  return event && dayOf(event) < today ? dayOf(event) : today;
}

async function rateAll({ db }: GridWorld, op: Op, day: DayName): Promise<void> {
  for (let behind = '', more = true; more && !op.signal.aborted;) {
    const ids = await nodesOfDay(db, day, behind, BATCH);
    const [nodes, all] = [await findNodes(db, ids), await standings(db, ids)];
    const indexes = nodes.flatMap((node) => {
      const standing = all.get(node.id);
      return standing ? [indexOf(node, standing, op.now)] : [];
    });
    await db.transact((tx) => keepIndexes(tx, day, indexes));
    behind = ids.at(-1) ?? behind;
    more = ids.length === BATCH;
  }
}

/** The index with its parts, in the words in which they are exported. */
function indexOf(node: Node, standing: Standing, now: Date): KeptCri {
  const { score, factors, penalties, decay } = criOf(node, standing, now);
  const parts = {
    base: factors.base,
    tx_score: factors.transaction_score,
    diversity_score: factors.diversity_score,
    volume_score: factors.volume_score,
    age_score: factors.age_score,
    buyer_score: factors.buyer_activity,
    genesis_bonus: factors.genesis_bonus,
    ...penalties,
    decay_factor: decay,
    settled_total: tradesOf(standing),
    unique_counterparties: partnersOf(standing),
    total_volume_tck: asNumber(standing.volume),
    age_days: ageDays(node, now),
  };
  const rounded = Object.entries(parts).map(([name, value]) => [name, Math.round(value * PRECISION) / PRECISION]);
  return { id: node.id, base: baseOf(node), score, parts: Object.fromEntries(rounded) };
}
