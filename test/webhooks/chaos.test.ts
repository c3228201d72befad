import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { systemOp } from '../harness/op.ts';
import type { Op } from '../../src/kernel/op.ts';
import { newAccountId, ring } from './bells.ts';
import { startReceiver, type Receiver } from './receiver.ts';

const WORKERS = 2;
const KILLS = 8;
const BELLS_PER_KILL = 45;

let database: TestDatabase;
let receivers: Receiver[];
const workers = new Set<ChildProcess>();

/** Three in ten requests fail, but no message more than twice, so that the test does not wait for the long retries. */
const failures = new Map<string, number>();
function failsNow(id: string): boolean {
  const earlier = failures.get(id) ?? 0;
  if (earlier === 2 || Math.random() > 0.3) return false;
  failures.set(id, earlier + 1);
  return true;
}

beforeAll(async () => {
  database = await testDatabase();
  const failing = await startReceiver((reply, { id }) => void reply.writeHead(failsNow(id) ? 500 : 200).end());
  const resetting = await startReceiver((reply, { id }) => void (failsNow(id) ? reply.destroy() : reply.end()));
  // Slow enough that the kills find attempts under way.
  const slow = await startReceiver(async (reply) => {
    await sleep(Math.random() * 400);
    reply.end();
  });
  receivers = [failing, resetting, slow];
});

afterAll(async () => {
  await Promise.all([...workers].map(end));
  await Promise.all(receivers.map((receiver) => receiver.close()));
  await database.drop();
});

async function end(worker: ChildProcess): Promise<void> {
  workers.delete(worker);
  const gone = once(worker, 'exit');
  worker.kill('SIGKILL');
  await gone;
}

async function startWorker(startedAt: Date): Promise<ChildProcess> {
  const script = join(import.meta.dirname, 'worker.ts');
  const worker = spawn(process.execPath, [script, database.url, startedAt.toISOString()], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  workers.add(worker);
  await once(worker.stdout, 'data');
  return worker;
}

/** Rings, waits until attempts are under way, kills a worker and starts another in its place; again and again. */
async function killAgainAndAgain(op: Op): Promise<void> {
  const accounts = receivers.map(() => newAccountId(op));
  for (let kill = 0; kill < KILLS; kill++) {
    for (let bell = 0; bell < BELLS_PER_KILL; bell++) {
      const which = bell % receivers.length;
      const [account, receiver] = [accounts[which], receivers[which]];
      if (account && receiver) await ring(database.db, op, account, receiver.url, kill * BELLS_PER_KILL + bell);
    }
    await expect.poll(isUnderWay, { timeout: 60_000, interval: 5 }).toBe(true);
    const [oldest] = workers;
    if (oldest) await end(oldest);
    await startWorker(op.now);
  }
}

const isUnderWay = (): boolean => receivers.some((receiver) => receiver.underWay() > 0);

const states = async (): Promise<Record<string, number>> => {
  const rows = await database.db.query<{ state: string; count: bigint }>(
    `select state, count(*) from webhook_deliveries group by state`,
  );
  return Object.fromEntries(rows.map(({ state, count }) => [state, Number(count)]));
};

test('every message arrives though receivers fail and workers are killed with attempts under way', async () => {
  const op = systemOp();
  for (let n = 0; n < WORKERS; n++) await startWorker(op.now);
  await killAgainAndAgain(op);
  const bellCount = KILLS * BELLS_PER_KILL;
  await expect.poll(states, { timeout: 240_000, interval: 500 }).toEqual({ delivered: bellCount });
  const arrived = receivers.flatMap((receiver) => receiver.arrivals);
  const bells = new Set(arrived.map(({ body }) => body));
  const ids = new Set(arrived.map(({ id }) => id));
  expect(bells.size).toBe(bellCount);
  expect(ids.size).toBe(bellCount);
}, 400_000);
