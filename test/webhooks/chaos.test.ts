import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { accountOp, systemOp } from '../harness/op.ts';
import type { Op } from '../../src/kernel/op.ts';
import { MINUTE, after } from '../../src/kernel/time.ts';
import { createBellWebhooks, newAccountId, ring, strike } from './bells.ts';
import { startReceiver, type Receiver } from './receiver.ts';

const WORKERS = 2;
/** How many times as fast as the real one the workers' clock runs. */
const SPEED = 20;
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

/** With a clock that runs several times as fast as the real one, or is ahead of it by what it is told. */
async function startWorker(startedAt: Date, { speed = 1, ahead = 0 }): Promise<ChildProcess> {
  const script = join(import.meta.dirname, 'worker.ts');
  const options = [database.url, startedAt.toISOString(), String(speed), String(ahead)];
  const worker = spawn(process.execPath, [script, ...options], { stdio: ['pipe', 'pipe', 'inherit'] });
  worker.stdin.on('error', () => {}); // one that was killed hears nothing any more
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
    await startWorker(op.now, { speed: SPEED });
  }
}

const isUnderWay = (): boolean => receivers.some((receiver) => receiver.underWay() > 0);

/** Of deliveries that tasks asked for. */
const states = async (): Promise<Record<string, number>> => {
  const rows = await database.db.query<{ state: string; count: bigint }>(
    `select state, count(*) from webhook_deliveries where endpoint_id is null group by state`,
  );
  return Object.fromEntries(rows.map(({ state, count }) => [state, Number(count)]));
};

test('every message arrives though receivers fail and workers are killed with attempts under way', async () => {
  const op = systemOp();
  for (let n = 0; n < WORKERS; n++) await startWorker(op.now, { speed: SPEED });
  await killAgainAndAgain(op);
  const bellCount = KILLS * BELLS_PER_KILL;
  await expect.poll(states, { timeout: 240_000, interval: 500 }).toEqual({ delivered: bellCount });
  const arrived = receivers.flatMap((receiver) => receiver.arrivals);
  const bells = new Set(arrived.map(({ body }) => body));
  const ids = new Set(arrived.map(({ id }) => id));
  expect(bells.size).toBe(bellCount);
  expect(ids.size).toBe(bellCount);
}, 400_000);

const EVENTS = 10_000;
const RECEIVERS = 8;
const KILLS_AMONG_EVENTS = 6;
/** Past the next retry, whichever that is. */
const LEAP = 31 * MINUTE;

/** Three in ten requests fail, each for itself; what is given up that way is replayed, as its owner would do. */
test('10,000 events arrive at endpoints that fail three times in ten while workers are killed', async () => {
  const op = systemOp();
  let ahead = 0;
  const failing = (reply: ServerResponse) => void reply.writeHead(Math.random() < 0.3 ? 500 : 200).end();
  const hosts = await Promise.all(Array.from({ length: RECEIVERS }, () => startReceiver(failing)));
  receivers.push(...hosts);
  const { endpoints } = createBellWebhooks(database.db, { now: () => op.now });
  const owners = hosts.map(() => accountOp(newAccountId(op), op));
  const told = await Promise.all(
    owners.map(async (owner, n) => {
      const { id } = await endpoints.add(owner, { url: hosts[n]?.url ?? '', events: ['gong.struck'] });
      return { owner, id };
    }),
  );
  await Promise.all([...workers].map(end));
  for (let n = 0; n < WORKERS; n++) await startWorker(op.now, { speed: SPEED, ahead });
  const each = EVENTS / RECEIVERS;
  const gongs = Array.from({ length: each }, (_, gong) => gong);
  await Promise.all(owners.map((owner) => strike(database.db, op, owner.actor.accountId, ...gongs)));
  for (let kill = 1; kill <= KILLS_AMONG_EVENTS; kill++) {
    const enough = (kill * EVENTS) / (KILLS_AMONG_EVENTS + 1);
    await expect.poll(() => arrivedAt(hosts), { timeout: 120_000, interval: 5 }).toBeGreaterThan(enough);
    const [oldest] = workers;
    if (oldest) await end(oldest);
    await startWorker(op.now, { speed: SPEED, ahead });
  }
  await expect
    .poll(
      async () => {
        if (!(await isQuiet(hosts, after(op.now, (Date.now() - op.now.getTime()) * SPEED + ahead)))) return EVENTS;
        for (const { owner, id } of told) await endpoints.replayExhausted(owner, id, op.now);
        ahead += LEAP;
        for (const worker of workers) worker.stdin?.write(`${ahead}\n`);
        return notDelivered();
      },
      { timeout: 240_000, interval: 50 },
    )
    .toBe(0);
  for (const { arrivals } of hosts) {
    expect(new Set(arrivals.map(({ body }) => body)).size).toBe(each);
    expect(new Set(arrivals.map(({ id }) => id)).size).toBe(each);
  }
}, 400_000);

const arrivedAt = (hosts: Receiver[]): number => hosts.reduce((sum, { arrivals }) => sum + arrivals.length, 0);

/** Whether nothing can be done before time moves on: leases of the dead and retries remain. */
async function isQuiet(hosts: Receiver[], now: Date): Promise<boolean> {
  if (hosts.some((host) => host.underWay() > 0)) return false;
  const due = `select 1 from webhook_deliveries where ended_at is null and next_attempt_at <= $1 and leased_until is null`;
  return (await database.db.query(`${due} limit 1`, [now])).length === 0 && (await notDelivered()) < EVENTS;
}

/** Events that not every endpoint that wants them has been told, by the log. */
async function notDelivered(): Promise<number> {
  const [row] = await database.db.query<{ count: bigint }>(
    `select count(*) from (
       select 1 from webhook_deliveries where endpoint_id is not null
        group by event_id, endpoint_id having bool_or(state = 'delivered')) as told`,
  );
  return EVENTS - Number(row?.count);
}
