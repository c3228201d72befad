import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { createLedger, wallet, type Code, type Ledger } from '../../src/domains/ledger/index.ts';
import { openDatabase } from '../../src/platform/db.ts';
import { createLog } from '../../src/platform/log.ts';
import { migrate } from '../../src/platform/migrate.ts';
import { startPostgres } from '../../src/platform/postgres/index.ts';
import { processesIn, signal } from '../../src/platform/postgres/processes.ts';
import { testDatabase } from '../harness/database.ts';
import { brokenInvariants } from './invariants.ts';
import { doStep, JOB_COST, STEPS, work } from './jobs.ts';
import { tally, worldOn, type World } from './world.ts';

const FUNDS = 1_000_000n;
const KILLS = 2;
const JOBS = 1_000;

/** Kills a teller once it has said `until` acknowledgements; answers all that it said. */
async function killTeller(url: string, purse: Code, count: number, until: number): Promise<Set<string>> {
  const script = join(import.meta.dirname, 'teller.ts');
  const teller = spawn(process.execPath, [script, url, purse, String(count)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = once(teller, 'exit');
  const said = new Set<string>();
  for await (const line of createInterface({ input: teller.stdout })) {
    said.add(line);
    if (said.size === until) teller.kill('SIGKILL');
  }
  const [, killedBy] = await gone;
  expect(killedBy).toBe('SIGKILL');
  return said;
}

/** Does every step of every job again: `replayed` for all that was acknowledged, and `done` for nothing twice. */
async function retryAll(world: World, purse: Code, count: number, acknowledged: Set<string>): Promise<void> {
  const again = (ledger: Ledger) =>
    Promise.all(
      Array.from({ length: count }, async (_, job) => {
        const outcomes: [string, string][] = [];
        for (const step of STEPS) outcomes.push([`${job} ${step}`, (await doStep(ledger, purse, job, step)).outcome]);
        return outcomes;
      }),
    ).then((all) => all.flat());
  const first = new Map(await again(world.ledger));
  expect([...acknowledged].filter((step) => first.get(step) !== 'replayed')).toEqual([]);
  expect(await world.available(purse)).toBe(FUNDS - BigInt(count) * JOB_COST);
  const second = await again(world.ledger);
  expect(tally(second.map(([, outcome]) => outcome))).toEqual({ replayed: count * STEPS.length });
  expect(await world.available(purse)).toBe(FUNDS - BigInt(count) * JOB_COST);
  expect(await brokenInvariants(world.db)).toEqual([]);
  expect((await world.ledger.reconcile(world.db)).USD.discrepancies).toEqual([]);
}

test('kill -9 of the process in mid-load: nothing acknowledged is lost, nothing is doubled', async () => {
  const database = await testDatabase();
  const owner = openDatabase({ url: database.ownerUrl, onError: () => {} });
  onTestFinished(async () => {
    await owner.close();
    await database.drop();
  });
  const world = worldOn(database.db, owner);
  for (let kill = 0; kill < KILLS; kill++) {
    const purse = wallet(await world.account(FUNDS), 'USD');
    const acknowledged = await killTeller(database.url, purse, JOBS, 200 + kill * 150);
    expect(acknowledged.size).toBeLessThan(JOBS * STEPS.length);
    await retryAll(world, purse, JOBS, acknowledged);
  }
}, 240_000);

test('kill -9 of PostgreSQL with all its processes in mid-load: nothing acknowledged is lost, nothing is doubled', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'freehold-ledger-'));
  const postgres = await startPostgres({ dataDir, log: createLog({ level: 'silent' }) });
  const db = openDatabase({ url: postgres.appUrl, onError: () => {} });
  onTestFinished(async () => {
    await db.close();
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  await migrate(postgres.ownerUrl);
  const world = worldOn(db, db);
  const cluster = join(dataDir, 'postgres', '18');
  for (let kill = 0; kill < KILLS; kill++) {
    const purse = wallet(await world.account(FUNDS), 'USD');
    const acknowledged = new Set<string>();
    const load = work(createLedger({ db }), purse, { count: JOBS, atOnce: 300 }, (job, step) => {
      acknowledged.add(`${job} ${step}`);
      if (acknowledged.size === 300 + kill * 200) void killAll(cluster);
    });
    await expect(load).rejects.toThrow();
    expect(acknowledged.size).toBeGreaterThanOrEqual(300 + kill * 200);
    await untilItAnswers(() => db.ping());
    await retryAll(world, purse, JOBS, acknowledged);
  }
}, 240_000);

async function killAll(cluster: string): Promise<void> {
  for (const pid of await processesIn(cluster)) signal(pid, 'SIGKILL');
}

/** The supervisor starts PostgreSQL again; until then connections are refused. */
async function untilItAnswers(ping: () => Promise<void>): Promise<void> {
  for (;;) {
    const answered = await ping().then(
      () => true,
      () => false,
    );
    if (answered) return;
    await sleep(50);
  }
}
