import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import type { Database } from '../../src/platform/db.ts';
import {
  createJobs,
  defineJob,
  defineSweep,
  installJobs,
  type Jobs,
  type RunReport,
} from '../../src/platform/jobs/index.ts';
import { createLog } from '../../src/platform/log.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { systemOp } from '../harness/op.ts';
import { eventually } from '../postgres/holders.ts';

const log = createLog({ level: 'silent' });
let database: TestDatabase;
let db: Database;
let opened: Jobs[];

beforeEach(async () => {
  database = await testDatabase();
  db = database.db;
  opened = [];
  await installJobs(database.ownerUrl);
});
afterEach(async () => {
  await Promise.all(opened.map((jobs) => jobs.stop({ timeoutMs: 5_000 })));
  await database.drop();
});

function open(onRun?: (run: RunReport) => void): Jobs {
  const jobs = createJobs({ url: database.url, clock: systemClock, log, ...(onRun && { onRun }) });
  opened.push(jobs);
  return jobs;
}

/** A job that notes what it was given. */
function noting(name = 'test.note') {
  const seen: unknown[] = [];
  return { seen, job: defineJob<{ n: number }>({ name, run: async (_op, data) => void seen.push(data.n) }) };
}

describe('enqueue', () => {
  test('what is enqueued in a transaction that commits is done; what is enqueued in one that rolls back never is', async () => {
    const { job, seen } = noting();
    const jobs = open();
    await jobs.start({ jobs: [job], sweeps: [], takes: 'all' });
    const rolledBack = db.transact(async (tx) => {
      await jobs.enqueue(tx, job, { n: 1 });
      throw new Error('changed my mind');
    });
    await expect(rolledBack).rejects.toThrow('changed my mind');
    await db.transact((tx) => jobs.enqueue(tx, job, { n: 2 }));
    await eventually(async () => seen.includes(2) || undefined);
    await jobs.runDueNow(systemOp());
    expect(seen).toEqual([2]);
  });

  test('of the jobs of one key that wait only the newest is kept, and jobs of other keys are all done', async () => {
    const seen: string[] = [];
    const job = defineJob<{ of: string; n: number }>({
      name: 'test.keyed',
      key: ({ of }) => of,
      run: async (_op, { of, n }) => void seen.push(`${of}${n}`),
    });
    const jobs = open();
    await jobs.start({ jobs: [job], sweeps: [], takes: 'none' });
    for (const n of [1, 2, 3]) for (const of of ['a', 'b']) await db.transact((tx) => jobs.enqueue(tx, job, { of, n }));
    await jobs.runDueNow(systemOp());
    expect(seen.toSorted()).toEqual(['a3', 'b3']);
  });

  test('a waiting job that is enqueued once more does not start before that transaction has committed', async () => {
    let committed = false;
    const seen: boolean[] = [];
    const job = defineJob<{ of: string }>({
      name: 'test.early',
      key: ({ of }) => of,
      run: async () => void seen.push(committed),
    });
    const [enqueuing, working] = [open(), open()];
    await enqueuing.start({ jobs: [job], sweeps: [], takes: 'none' });
    await db.transact((tx) => enqueuing.enqueue(tx, job, { of: 'x' }));
    await db.transact(async (tx) => {
      await enqueuing.enqueue(tx, job, { of: 'x' });
      await working.start({ jobs: [job], sweeps: [], takes: 'all' });
      await sleep(1_500);
      expect(seen).toEqual([]);
      committed = true;
    });
    await eventually(async () => seen.length > 0 || undefined);
    expect(seen).toEqual([true]);
  });

  test('two jobs of one key do not run at the same time', async () => {
    const running = new Set<string>();
    const overlaps: string[] = [];
    const job = defineJob<{ of: string }>({
      name: 'test.alone',
      key: ({ of }) => of,
      concurrency: 8,
      run: async (_op, { of }) => {
        if (running.has(of)) overlaps.push(of);
        running.add(of);
        await sleep(30);
        running.delete(of);
      },
    });
    const jobs = open();
    await jobs.start({ jobs: [job], sweeps: [], takes: 'all' });
    for (let n = 0; n < 40; n++) await db.transact((tx) => jobs.enqueue(tx, job, { of: n % 2 ? 'a' : 'b' }));
    await jobs.runDueNow(systemOp());
    expect(overlaps).toEqual([]);
  });
});

describe('a job that fails', () => {
  test('is repeated', async () => {
    let runs = 0;
    const job = defineJob<{}>({
      name: 'test.flaky',
      run: async () => {
        if (++runs < 2) throw new Error('not yet');
      },
    });
    const reports: RunReport[] = [];
    const jobs = open((run) => reports.push(run));
    await jobs.start({ jobs: [job], sweeps: [], takes: 'all' });
    await db.transact((tx) => jobs.enqueue(tx, job, {}));
    await eventually(async () => reports.some(({ outcome }) => outcome === 'done') || undefined);
    expect(reports.map(({ outcome }) => outcome)).toEqual(['failed', 'done']);
  });

  test('goes to the dead letters when its retries are used up', async () => {
    const job = defineJob<{ n: number }>({
      name: 'test.hopeless',
      retryLimit: 1,
      run: async () => {
        throw new Error('never');
      },
    });
    const reports: RunReport[] = [];
    const jobs = open((run) => reports.push(run));
    await jobs.start({ jobs: [job], sweeps: [], takes: 'all' });
    await db.transact((tx) => jobs.enqueue(tx, job, { n: 7 }));
    await eventually(async () => reports.some(({ outcome }) => outcome === 'given_up') || undefined);
    const dead = await eventually(async () => {
      const rows = await db.query<{ data: unknown }>(`SELECT data FROM jobs.job WHERE name = 'dead'`);
      return rows.length > 0 ? rows : undefined;
    });
    expect(dead).toEqual([{ data: { n: 7 } }]);
  });

  test('that takes too long is told to stop', async () => {
    const job = defineJob<{}>({
      name: 'test.slow',
      timeoutSeconds: 1,
      retryLimit: 0,
      run: (op) => new Promise((_, reject) => op.signal.addEventListener('abort', () => reject(op.signal.reason))),
    });
    const reports: RunReport[] = [];
    const jobs = open((run) => reports.push(run));
    await jobs.start({ jobs: [job], sweeps: [], takes: 'all' });
    await db.transact((tx) => jobs.enqueue(tx, job, {}));
    await eventually(async () => reports.length > 0 || undefined);
    expect(reports[0]?.outcome).toBe('given_up');
  });
});

describe('runDueNow', () => {
  test('does what sweeps and jobs make due for each other, in a process that takes no work otherwise', async () => {
    let due = 3;
    const { job, seen } = noting();
    const jobs = open();
    const sweep = defineSweep({
      name: 'test.sweep',
      everySeconds: 3600,
      runDue: async () => {
        if (due === 0) return 0;
        await db.transact((tx) => jobs.enqueue(tx, job, { n: due-- }));
        return 1;
      },
    });
    const chained = defineJob<{}>({
      name: 'test.chain',
      run: async () => {
        due += 1;
      },
    });
    await jobs.start({ jobs: [job, chained], sweeps: [sweep], takes: 'none' });
    await db.transact((tx) => jobs.enqueue(tx, chained, {}));
    expect(await jobs.runDueNow(systemOp())).toBe(4 + 4 + 1);
    expect(seen.map(Number).toSorted((a, b) => a - b)).toEqual([1, 1, 2, 3]);
    expect(await jobs.runDueNow(systemOp())).toBe(0);
  });

  test('waits for moments that another process has taken, and not for long jobs', async () => {
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const moment = defineJob<{}>({
      name: 'test.moment',
      run: async () => {
        await sleep(300);
        order.push('moment');
      },
    });
    const long = defineJob<{}>({ name: 'test.long', lasts: 'long', run: () => gate.promise });
    const [worker, asked] = [open(), open()];
    await worker.start({ jobs: [moment, long], sweeps: [], takes: 'all' });
    await asked.start({ jobs: [moment, long], sweeps: [], takes: 'none' });
    await db.transact(async (tx) => {
      await asked.enqueue(tx, moment, {});
      await asked.enqueue(tx, long, {});
    });
    await asked.runDueNow(systemOp());
    order.push('answered');
    gate.resolve();
    expect(order).toEqual(['moment', 'answered']);
  });
});

describe('sweeps', () => {
  test('one process at a time runs a sweep', async () => {
    let running = 0;
    let most = 0;
    let runs = 0;
    const sweep = defineSweep({
      name: 'test.exclusive',
      everySeconds: 0.02,
      runDue: async () => {
        runs++;
        most = Math.max(most, ++running);
        await sleep(20);
        running--;
        return 0;
      },
    });
    const both = [open(), open()];
    for (const jobs of both) await jobs.start({ jobs: [], sweeps: [sweep], takes: 'all' });
    await Promise.all(both.map((jobs) => jobs.runDueNow(systemOp())));
    await eventually(async () => runs >= 20 || undefined);
    expect(most).toBe(1);
  });

  test('a sweep that is nudged in a transaction runs when it has committed', async () => {
    let runs = 0;
    const sweep = defineSweep({
      name: 'test.nudged',
      everySeconds: 3600,
      runDue: async () => {
        runs++;
        return 0;
      },
    });
    const jobs = open();
    await jobs.start({ jobs: [], sweeps: [sweep], takes: 'all' });
    await eventually(async () => runs > 0 || undefined);
    await sleep(200);
    const before = runs;
    await db.transact((tx) => jobs.nudge(tx, sweep));
    await eventually(async () => runs > before || undefined);
  });

  test('a sweep that fails runs again', async () => {
    let runs = 0;
    const sweep = defineSweep({
      name: 'test.failing',
      everySeconds: 0.02,
      runDue: async () => {
        if (++runs < 3) throw new Error('not yet');
        return 0;
      },
    });
    const jobs = open();
    await jobs.start({ jobs: [], sweeps: [sweep], takes: 'all' });
    await eventually(async () => runs > 3 || undefined);
  });
});

describe('stop', () => {
  test('lets a moment end, and gives a long job to another process at once', async () => {
    const ended: string[] = [];
    const started = Promise.withResolvers<void>();
    const moment = defineJob<{}>({
      name: 'test.ending',
      run: async () => {
        started.resolve();
        await sleep(500);
        ended.push('moment');
      },
    });
    const long = defineJob<{}>({
      name: 'test.handed',
      lasts: 'long',
      run: (op) =>
        new Promise((resolve, reject) =>
          stopped ? resolve() : op.signal.addEventListener('abort', () => reject(op.signal.reason)),
        ),
    });
    let stopped = false;
    const [leaving, staying] = [open(), open()];
    await leaving.start({ jobs: [moment, long], sweeps: [], takes: 'all' });
    await db.transact(async (tx) => {
      await leaving.enqueue(tx, long, {});
      await leaving.enqueue(tx, moment, {});
    });
    await started.promise;
    await leaving.stop({ timeoutMs: 10_000 });
    stopped = true;
    expect(ended).toEqual(['moment']);
    await staying.start({ jobs: [moment, long], sweeps: [], takes: 'all' });
    const row = await eventually(async () => {
      const [found] = await db.query<{ state: string }>(`SELECT state FROM jobs.job WHERE name = 'test.handed'`);
      return found?.state === 'completed' ? found : undefined;
    });
    expect(row.state).toBe('completed');
  });
});
