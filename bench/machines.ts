/**
 * What our machines cost. Two kinds of measures, all in one run:
 *
 * `start` to `memory`: the machines domain in this process beside the bare container runtime (machines/raw.ts). Ours
 * and the runtime's take turns within each round, so that both meet the same weather.
 *
 * `client_…`: the whole server in a process of its own, through the stock `e2b` client on loopback, beside the same
 * bare runtime's `first_exec`, `exec` or wake: from the wish for a sandbox to its first command done, 100 in sequence,
 * 100 staggered by 200 ms and 100 at once.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMachines, openDriver, prepareHost, type MachineDriver } from '../src/domains/machines/index.ts';
import { layoutOf, placesOf } from '../src/domains/machines/drivers/oci/layout.ts';
import { readRecord } from '../src/domains/machines/drivers/oci/record.ts';
import { systemClock } from '../src/platform/clock.ts';
import { openDatabase } from '../src/platform/db.ts';
import { createLog } from '../src/platform/log.ts';
import { migrate } from '../src/platform/migrate.ts';
import { startPostgres } from '../src/platform/postgres/index.ts';
import { openClient } from './machines/client.ts';
import { timed, type Contender } from './machines/contender.ts';
import { ourMachines } from './machines/ours.ts';
import { memoryOf, rawRuntime } from './machines/raw.ts';
import type { Row } from './run.ts';

const ROUNDS = 15;
const EXECS_IN_ROUND = 3;
const BURST = 50;
const FORKS = 8;
const CLIENT_SANDBOXES = 100;
const CLIENT_STAGGER_MS = 200;
const CLIENT_EXECS = 200;
const CLIENT_WAKES = 50;
const POOL_SIZE = 4;
const CACHE_DIR = process.env['FREEHOLD_CACHE_DIR'] ?? join(homedir(), '.cache', 'freehold');

const MEASURES = [
  'start',
  'first_exec',
  'exec',
  'read_file',
  'snapshot',
  'wake',
  'fork_8',
  'destroy',
  'burst',
] as const;
type Measure = (typeof MEASURES)[number];
type Side = { ours: number[]; raw: number[] };
type Taken = Record<Measure, Side>;

export async function run(options: { rounds?: number }): Promise<{ rounds: number; rows: Row[] }> {
  const rounds = options.rounds ?? ROUNDS;
  const prepared = await prepareHost({
    cacheDir: CACHE_DIR,
    installPackages: true,
    runtimes: ['crun'],
    progress: console.log,
  });
  const besideRaw = await domainMeasures(rounds, prepared.baseImage.dir);
  return { rounds, rows: [...besideRaw, ...(await clientMeasures(besideRaw))] };
}

async function domainMeasures(rounds: number, image: string): Promise<Row[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'freehold-bench-'));
  const log = createLog({ level: 'warn' });
  const postgres = await startPostgres({ dataDir, log });
  await migrate(postgres.ownerUrl);
  const db = openDatabase({ url: postgres.appUrl, onError: (err) => log.warn({ err }) });
  const instance = `b${randomBytes(4).toString('hex')}`;
  const driver = await openDriver({ setting: 'oci-crun', instance, dataDir, cacheDir: CACHE_DIR });
  const machines = createMachines({ db, driver, clock: systemClock, log, poolSize: 0 });
  const raw = await rawRuntime(join('/run', `freehold-bench-${instance}`), `/freehold-bench-${instance}`, image);
  try {
    const ours = ourMachines(machines);
    const rows = await measure(rounds, ours, raw);
    return [...rows, await idleMemory(ours, driver, { instance, dataDir })];
  } finally {
    await machines.close();
    await raw.close();
    await db.close();
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function measure(rounds: number, ours: Contender, raw: Contender): Promise<Row[]> {
  const taken = Object.fromEntries(MEASURES.map((name) => [name, { ours: [], raw: [] }])) as unknown as Taken;
  for (let round = 0; round < rounds; round++)
    for (const [side, contender] of inTurn(round, ours, raw))
      await oneLife(contender, (name, ms) => taken[name][side].push(ms));
  for (let round = 0; round < Math.max(1, Math.round(rounds / 5)); round++)
    for (const [side, contender] of inTurn(round, ours, raw)) taken.burst[side].push(await burst(contender));
  return Object.entries(taken).map(([name, { ours: own, raw: bare }]) =>
    rowOf(name, name === 'burst' ? 's' : 'ms', own, medianOf(bare)),
  );
}

/** Whoever goes first changes with each round. */
const inTurn = (round: number, ours: Contender, raw: Contender): [keyof Side, Contender][] => {
  const both: [keyof Side, Contender][] = [
    ['ours', ours],
    ['raw', raw],
  ];
  return round % 2 === 0 ? both : both.toReversed();
};

/** From nothing to the first command done, everything else that a machine can do, and gone. */
async function oneLife(contender: Contender, took: (name: Measure, ms: number) => void): Promise<void> {
  const begun = performance.now();
  const id = await contender.start();
  took('start', performance.now() - begun);
  await contender.exec(id);
  took('first_exec', performance.now() - begun);
  for (let count = 0; count < EXECS_IN_ROUND; count++) took('exec', await timed(() => contender.exec(id)));
  await contender.readFile(id);
  took('read_file', await timed(() => contender.readFile(id)));
  let forget = async () => {};
  took(
    'snapshot',
    await timed(async () => {
      forget = await contender.snapshot(id);
    }),
  );
  await forget();
  await contender.pause(id);
  took('wake', await timed(() => contender.wake(id)));
  let forks: string[] = [];
  took(
    'fork_8',
    await timed(async () => {
      forks = await contender.fork(id, FORKS);
    }),
  );
  await Promise.all(forks.map((fork) => contender.destroy(fork)));
  took('destroy', await timed(() => contender.destroy(id)));
}

/** Seconds until as many machines at once have each done a command. */
async function burst(contender: Contender): Promise<number> {
  const ids: string[] = [];
  const ms = await timed(() =>
    Promise.all(
      Array.from({ length: BURST }, async () => {
        const id = await contender.start();
        ids.push(id);
        await contender.exec(id);
      }),
    ),
  );
  await Promise.all(ids.map((id) => contender.destroy(id)));
  return ms / 1_000;
}

/** What we ourselves keep in the memory of a machine that does nothing. */
async function idleMemory(
  ours: Contender,
  driver: MachineDriver,
  where: { instance: string; dataDir: string },
): Promise<Row> {
  const id = await ours.start();
  await ours.exec(id);
  const record = await readRecord(placesOf(layoutOf(where), id).record);
  if (!record) throw new Error(`${driver.name} has no record of its machine.`);
  const mib = await memoryOf(record.pid);
  await ours.destroy(id);
  return rowOf('memory', 'MiB', [mib]);
}

async function clientMeasures(besideRaw: Row[]): Promise<Row[]> {
  const rawOf = (name: Measure) => besideRaw.find(({ measure: each }) => each === name)?.baseline;
  const client = await openClient(CACHE_DIR, POOL_SIZE);
  try {
    await client.firstCommand();
    const sequence: number[] = [];
    for (let count = 0; count < CLIENT_SANDBOXES; count++) sequence.push(await client.firstCommand());
    const staggered = await client.firstCommandsAtOnce(CLIENT_SANDBOXES, CLIENT_STAGGER_MS);
    const atOnce = await client.firstCommandsAtOnce(CLIENT_SANDBOXES, 0);
    return [
      ...percentiles('client_sequence', sequence, rawOf('first_exec')),
      ...percentiles('client_staggered', staggered, rawOf('first_exec')),
      ...percentiles('client_at_once', atOnce, rawOf('first_exec')),
      ...percentiles('client_exec', await client.execs(CLIENT_EXECS), rawOf('exec')),
      ...percentiles('client_wake', await client.wakes(CLIENT_WAKES), rawOf('wake')),
    ];
  } finally {
    await client.close();
  }
}

/** The median with its extremes, and what 95 and 99 of 100 do not exceed. */
const percentiles = (name: string, times: number[], baseline: number | undefined): Row[] => [
  rowOf(name, 'ms', times, baseline),
  rowOf(`${name}_p95`, 'ms', [quantile(times, 0.95)]),
  rowOf(`${name}_p99`, 'ms', [quantile(times, 0.99)]),
];

function rowOf(measureName: string, unit: string, times: number[], baseline?: number): Row {
  const sorted = times.toSorted((a, b) => a - b);
  const median = medianOf(sorted);
  return {
    measure: measureName,
    unit,
    median,
    min: sorted[0] ?? 0,
    max: sorted.at(-1) ?? 0,
    ...(baseline !== undefined && { baseline, ratio: median / baseline }),
  };
}

const medianOf = (times: number[]): number => quantile(times, 0.5);

/** The smallest value that is not exceeded by this share of all (nearest rank). */
function quantile(times: number[], share: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
