import type { Op } from '../../../kernel/op.ts';
import { DAY, after } from '../../../kernel/time.ts';
import { defineSweep } from '../../../platform/jobs/index.ts';
import { VAULT } from '../../ledger/index.ts';
import type { GridWorld } from '../world.ts';
import { analyse } from './analytics.ts';
import { LATE, type SpanName } from './day.ts';
import { createDesk } from './desk.ts';
import { exportRows, type ExportName } from './export.ts';
import { takeDay, takeDueDay } from './snapshot.ts';
import { readBooks, type BooksQuery } from './books.ts';
import {
  escrowFigures,
  offeredOn,
  populationOf,
  summaryOf,
  taskFigures,
  tasksByIntegration,
  volumeOf,
  type Times,
} from './store.ts';
import { addUpBefore, readTotals } from './totals-store.ts';

export const PERIODS = ['24h', '7d', '30d', 'all'] as const;
export type Period = (typeof PERIODS)[number];

const DAYS = { '24h': 1, '7d': 7, '30d': 30 } as const;
const BEGINNING = new Date(0);
/** A day that has ended waits no longer to be written down. */
const TAKE_SECONDS = 60;
const ADD_UP_SECONDS = 300;

export type Figures = ReturnType<typeof createFigures>;
export type AllFigures = Awaited<ReturnType<Figures['all']>>;

/** What the operator, and partly everybody, sees of the grid as a whole. Sandbox nodes only play, and are in none of it. */
export function createFigures(world: GridWorld) {
  const { db, ledger } = world;
  const vault = async () => (await ledger.balance(db, VAULT)).posted;
  return {
    summary: async (op: Op, period: Period) => {
      const since = period === 'all' ? BEGINNING : after(op.now, -DAYS[period] * DAY);
      const [summary, inVault] = await Promise.all([summaryOf(db, since), vault()]);
      return { ...summary, vault: inVault };
    },
    all: async (op: Op) => {
      const times = timesAt(op.now);
      const [tasks, escrows, volume, population, integrations, inVault] = await Promise.all([
        taskFigures(db, times),
        escrowFigures(db),
        volumeOf(db, times),
        populationOf(db, times),
        tasksByIntegration(db),
        vault(),
      ]);
      return { tasks, escrows, volume, population, integrations, vault: inVault };
    },
    network: async () => {
      const [offered, { via }] = await Promise.all([offeredOn(db), readTotals(db)]);
      return { ...offered, byProtocol: Object.fromEntries([...via].map(([way, { count }]) => [way, count])) };
    },
    books: (query: BooksQuery) => readBooks(world, query),
    /** Everything at one glance. */
    desk: createDesk(world),
    analytics: (op: Op, period: SpanName) => analyse(world, op, period),
    /** Rows as they are read, oldest first. */
    rows: (op: Op, name: ExportName, period: SpanName) => exportRows(world, op, name, period),
    /** Writes down what happened today, so far. */
    takeDay: (op: Op) => takeDay(world, op),
    sweeps: [
      defineSweep({ name: 'grid.take-day', everySeconds: TAKE_SECONDS, runDue: (op) => takeDueDay(world, op) }),
      defineSweep({ name: 'grid.add-up', everySeconds: ADD_UP_SECONDS, runDue: (op) => addUp(world, op) }),
    ],
  };
}

/** Adds up what is over; there is never more of it to do. */
async function addUp({ db }: GridWorld, op: Op): Promise<0> {
  await db.transact((tx) => addUpBefore(tx, after(op.now, -LATE)));
  return 0;
}

const timesAt = (now: Date): Times => ({
  today: new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate())),
  week: after(now, -DAYS['7d'] * DAY),
  month: after(now, -DAYS['30d'] * DAY),
});
