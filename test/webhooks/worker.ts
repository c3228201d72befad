import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/platform/clock.ts';
import { openDatabase } from '../../src/platform/db.ts';
import { SECOND, after } from '../../src/kernel/time.ts';
import { systemOp } from '../harness/op.ts';
import { createBellWebhooks } from './bells.ts';

// A worker process of its own, to be killed: delivers what is due, again and again. Its clock runs twenty times as
// fast as the real one, so that retries and leases are due within the test.
const [, , url = '', startedAt = ''] = process.argv;
const SPEED = 20;
const TIME_LIMIT = 5 * SECOND;
const start = new Date(startedAt);
const clock = { now: () => after(start, (systemClock.now().getTime() - start.getTime()) * SPEED) };
const db = openDatabase({ url, onError: () => {} });
const webhooks = createBellWebhooks(db, clock, TIME_LIMIT);

process.stdout.write('working\n');
for (;;) {
  await webhooks.deliverDue(systemOp(clock.now()));
  await sleep(20);
}
