import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/platform/clock.ts';
import { openDatabase } from '../../src/platform/db.ts';
import { SECOND, after } from '../../src/kernel/time.ts';
import { systemOp } from '../harness/op.ts';
import { createBellWebhooks } from './bells.ts';

// A worker process of its own, to be killed: delivers what is due, again and again. Its clock runs several times as
// fast as the real one, or is ahead by what is written to its input, so that retries and leases are due within the test.
const [, , url = '', startedAt = '', speed = '1', early = '0'] = process.argv;
const TIME_LIMIT = 5 * SECOND;
const start = new Date(startedAt);
let ahead = Number(early);
process.stdin.on('data', (text) => void (ahead = Number(String(text).trim().split('\n').at(-1))));
const clock = {
  now: () => after(start, (systemClock.now().getTime() - start.getTime()) * Number(speed) + ahead),
};
const db = openDatabase({ url, onError: () => {} });
const webhooks = createBellWebhooks(db, clock, TIME_LIMIT);

process.stdout.write('working\n');
for (;;) {
  await webhooks.deliverDue(systemOp(clock.now()));
  await sleep(20);
}
