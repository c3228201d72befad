import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import { openDatabase } from '../../src/platform/db.ts';
import { createJobs, defineJob, installJobs } from '../../src/platform/jobs/index.ts';
import { createLog } from '../../src/platform/log.ts';
import { signal } from '../../src/platform/postgres/processes.ts';
import { testDatabase } from '../harness/database.ts';
import { dataDirectory, eventually, killNow, query, use } from '../postgres/holders.ts';

const log = createLog({ level: 'silent' });
const WORKER = path.join(import.meta.dirname, 'worker.ts');

test('a job whose process was killed is done by another within seconds', async () => {
  const { db, drop, ownerUrl, url } = await testDatabase();
  onTestFinished(drop);
  await installJobs(ownerUrl);
  await query(ownerUrl, 'CREATE TABLE runs (pid int, n int)');
  await query(ownerUrl, 'GRANT ALL ON runs TO freehold_app');
  const enqueuing = createJobs({ url, clock: systemClock, log });
  onTestFinished(() => enqueuing.stop({ timeoutMs: 1_000 }));
  const job = defineJob<{ n: number }>({ name: 'test.crash', run: async () => {} });
  await enqueuing.start({ jobs: [job], sweeps: [], takes: 'none' });

  const doomed = await startWorker(url, 'hang');
  await db.transact((tx) => enqueuing.enqueue(tx, job, { n: 7 }));
  const runs = () => db.query<{ pid: number; n: number }>('SELECT pid, n FROM runs');
  await eventually(async () => (await runs())[0]);
  const successor = await startWorker(url);
  await killNow(doomed);
  await eventually(async () => ((await runs()).length > 1 ? true : undefined));
  await eventually(
    async () => (await query(ownerUrl, `SELECT FROM jobs.job WHERE name = 'test.crash' AND state = 'completed'`))[0],
  );
  expect(await runs()).toEqual([
    { pid: doomed.pid, n: 7 },
    { pid: successor.pid, n: 7 },
  ]);
});

test('jobs go on when PostgreSQL was killed and has come back', async () => {
  const postgres = await use(await dataDirectory());
  onTestFinished(() => postgres.stop());
  await installJobs(postgres.ownerUrl);
  const db = openDatabase({ url: postgres.appUrl, onError: () => {} });
  onTestFinished(() => db.close());
  const seen = new Set<number>();
  const job = defineJob<{ n: number }>({ name: 'test.survive', run: async (_op, { n }) => void seen.add(n) });
  const jobs = createJobs({ url: postgres.appUrl, clock: systemClock, log });
  onTestFinished(() => jobs.stop({ timeoutMs: 1_000 }));
  await jobs.start({ jobs: [job], sweeps: [], takes: 'all' });

  const acknowledged: number[] = [];
  for (let n = 0; n < 60; n++) {
    if (n % 20 === 10) signal(postgres.pid, 'SIGKILL');
    await db
      .transact((tx) => jobs.enqueue(tx, job, { n }))
      .then(
        () => acknowledged.push(n),
        () => new Promise((resolve) => setTimeout(resolve, 50)), // PostgreSQL is away: this one was never promised
      );
  }
  await eventually(async () => db.transact((tx) => jobs.enqueue(tx, job, { n: 1000 })).then(() => true));
  await eventually(async () => (seen.has(1000) && acknowledged.every((n) => seen.has(n))) || undefined);
});

async function startWorker(url: string, ...behaviour: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [WORKER, url, ...behaviour], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}
