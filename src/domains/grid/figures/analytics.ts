import type { Op } from '../../../kernel/op.ts';
import { VAULT } from '../../ledger/index.ts';
import type { GridWorld } from '../world.ts';
import {
  beginningOf,
  economyOf,
  indexFigures,
  nodeFigures,
  skillsIn,
  taxIn,
  topSkills,
  workByProtocol,
} from './analytics-store.ts';
import { dayNow, takenDays } from './day-store.ts';
import { dayOf, plusDays, spanOf, type DayFigures, type Span, type SpanName } from './day.ts';
import type { Db } from '../../../platform/db.ts';

/** How far back the trend goes. */
const TREND_DAYS = 30;
const TOP_SKILLS = 10;

export type Analytics = Awaited<ReturnType<typeof analyse>>;

/** What happened on the grid in a period, and how the last month went. */
export async function analyse({ db, ledger }: GridWorld, op: Op, period: SpanName) {
  const span = spanOf(period, op.now, await beginningOf(db, op.now));
  const today = dayOf(op.now);
  const [nodes, work, skills, economy, tax, listed, index, days, trend, vault] = await Promise.all([
    nodeFigures(db, span),
    workByProtocol(db, span),
    topSkills(db, span, TOP_SKILLS),
    economyOf(db, span),
    taxIn(db, span),
    skillsIn(db, span),
    indexFigures(db, span),
    daysUpTo(db, span),
    daysUpTo(db, { first: plusDays(today, -TREND_DAYS), last: today }),
    ledger.balance(db, VAULT),
  ]);
  return { period, span, nodes, work, skills, economy, tax, listed, index, days, trend, vault: vault.posted };
}

/** The days of a span that ends today: those before as they were taken, yesterday and today as they are. */
export async function daysUpTo(db: Db, { first, last }: Span): Promise<DayFigures[]> {
  // Yesterday is taken for the last time some minutes after it was over.
  const live = [plusDays(last, -1), last].filter((day) => day >= first);
  const before = { first, last: plusDays(last, -live.length) };
  return [...(await takenDays(db, before)), ...(await Promise.all(live.map((day) => dayNow(db, day))))];
}
