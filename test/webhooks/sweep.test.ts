import { afterEach, beforeEach, expect, test } from 'vitest';
import { webhookSweeps } from '../../src/domains/webhooks/index.ts';
import { DAY, after } from '../../src/kernel/time.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createJobs, installJobs, type Jobs } from '../../src/platform/jobs/index.ts';
import { createLog } from '../../src/platform/log.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { systemOp } from '../harness/op.ts';
import { createBellWebhooks, newAccountId, ring, untilHeard } from './bells.ts';
import { startReceiver, type Receiver } from './receiver.ts';

let database: TestDatabase;
let receiver: Receiver;
let jobs: Jobs;
let ahead = 0;
const clock = { now: () => after(systemClock.now(), ahead) };

beforeEach(async () => {
  database = await testDatabase();
  await installJobs(database.ownerUrl);
  receiver = await startReceiver((reply, _arrival, count) => void reply.writeHead(count < 4 ? 500 : 200).end());
  jobs = createJobs({ url: database.url, clock, log: createLog({ level: 'silent' }) });
});
afterEach(async () => {
  await jobs.stop({ timeoutMs: 10_000 });
  await receiver.close();
  await database.drop();
});

const start = (takes: 'all' | 'none') =>
  jobs.start({ jobs: [], sweeps: webhookSweeps(createBellWebhooks(database.db, clock)), takes });

test('a working process delivers without being asked', async () => {
  await start('all');
  await ring(database.db, systemOp(), newAccountId(systemOp()), receiver.url, 1);
  await expect.poll(() => receiver.arrivals.length, { timeout: 30_000 }).toBe(1);
});

test('when the clock is moved, every attempt that has become due by then is made', async () => {
  await start('none');
  const op = systemOp(clock.now());
  await ring(database.db, op, newAccountId(op), receiver.url, 1);
  await untilHeard(database.db);
  for (let attempts = 1; attempts <= 4; attempts++) {
    expect(await jobs.runDueNow(systemOp(clock.now()))).toBe(1);
    expect(receiver.arrivals).toHaveLength(attempts);
    ahead += DAY;
  }
  expect(await jobs.runDueNow(systemOp(clock.now()))).toBe(0);
});
