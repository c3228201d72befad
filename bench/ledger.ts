/**
 * Postings per second of the ledger beside raw `pgbench` (TPC-B) on the same PostgreSQL, the embedded one with the
 * product's settings. Both take turns within each round, so that both meet the same weather.
 *
 * pgbench: scale 32, prepared statements, 16 clients in 2 threads (of 4 to 64 the number that serves it best on two
 * processors), a database of its own on the same server.
 * Ours: 1024 callers at a time in one process, over 4096 wallets (or all of them paying one account: `hot`), each
 * posting a `submit` of its own with its own answer. `hold` counts taking a hold and posting it as two postings.
 */
import { execFile } from 'node:child_process';
import { access, glob, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createLedger, mint, REVENUE, wallet, type Ledger } from '../src/domains/ledger/index.ts';
import { idOf, uuidv7, type AccountId, type TransferId } from '../src/kernel/ids.ts';
import { usd } from '../src/kernel/money.ts';
import type { Op } from '../src/kernel/op.ts';
import { SECOND } from '../src/kernel/time.ts';
import { openDatabase, type Database } from '../src/platform/db.ts';
import { createLog } from '../src/platform/log.ts';
import { migrate } from '../src/platform/migrate.ts';
import { startPostgres } from '../src/platform/postgres/index.ts';
import type { Row } from './run.ts';

const ROUNDS = 5;
const MEASURE_MS = 5 * SECOND;
const CALLERS = 1024;
const WALLETS = 4096;
const PGBENCH_SCALE = 32;
const PGBENCH_CLIENTS = 16;
const PGBENCH_THREADS = 2;
const PGBENCH_DATABASE = 'pgbench';
/** Much more than a run can spend. */
const FUNDS = usd(10n ** 12n);
const PRICE = usd(5n);

type Measure = 'single' | 'hot' | 'hold';
const MEASURES: readonly Measure[] = ['single', 'hot', 'hold'];
/** One caller's turn; answers how many postings it was. */
type Turn = () => Promise<number>;

const execute = promisify(execFile);

export async function run(options: { rounds?: number }): Promise<{ rounds: number; rows: Row[] }> {
  const rounds = options.rounds ?? ROUNDS;
  const pgbench = await findPgbench();
  const dataDir = await mkdtemp(join(tmpdir(), 'freehold-bench-'));
  const log = createLog({ level: 'warn' });
  const postgres = await startPostgres({ dataDir, log });
  await migrate(postgres.ownerUrl);
  const db = openDatabase({ url: postgres.appUrl, onError: (err) => log.warn({ err }) });
  try {
    const baseline = await preparePgbench(pgbench, postgres.ownerUrl);
    return { rounds, rows: await measure(rounds, db, baseline) };
  } finally {
    await db.close();
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function measure(rounds: number, db: Database, baseline: () => Promise<number>): Promise<Row[]> {
  const ledger = createLedger({ db });
  const turns = turnsOf(ledger, await openWallets(db, ledger));
  const ours: Record<Measure, number[]> = { single: [], hot: [], hold: [] };
  const raw: Record<Measure, number[]> = { single: [], hot: [], hold: [] };
  await perSecond(turns.hold, SECOND);
  for (let round = 0; round < rounds; round++)
    for (const name of MEASURES) {
      const contenders = [
        async () => ours[name].push(await perSecond(turns[name], MEASURE_MS)),
        async () => raw[name].push(await baseline()),
      ];
      // Whoever goes first changes with each round.
      for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) await contender();
    }
  const { USD } = await ledger.reconcile(db);
  if (!USD.valid) throw new Error(`The ledger does not add up: ${JSON.stringify(USD.discrepancies)}`);
  return MEASURES.map((name) => row(name, ours[name], raw[name]));
}

function turnsOf(ledger: Ledger, wallets: AccountId[]): Record<Measure, Turn> {
  const op = operation();
  const any = () => wallet(wallets[Math.floor(Math.random() * wallets.length)] as AccountId, 'USD');
  const described = () => ({ id: transferId(), type: 'charge', description: 'One charge of the benchmark' });
  const pay = (from: ReturnType<typeof any>, to: typeof from) =>
    ledger.submit(op, {
      ...described(),
      legs: [
        { account: from, amount: usd(-PRICE) },
        { account: to, amount: PRICE },
      ],
    });
  return {
    single: async () => {
      const [from, to] = [any(), any()];
      if (from === to) return 0;
      await pay(from, to);
      return 1;
    },
    hot: async () => {
      await pay(any(), REVENUE);
      return 1;
    },
    hold: async () => {
      const hold = described();
      await ledger.submitHold(op, { ...hold, from: any(), to: REVENUE, amount: PRICE, releaseType: 'release' });
      await ledger.submitResolution(op, hold.id, { kind: 'post' });
      return 2;
    },
  };
}

async function perSecond(turn: Turn, durationMs: number): Promise<number> {
  const begun = performance.now();
  let postings = 0;
  const caller = async () => {
    while (performance.now() - begun < durationMs) {
      const made = await turn();
      postings += made;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return postings / ((performance.now() - begun) / SECOND);
}

async function openWallets(db: Database, ledger: Ledger): Promise<AccountId[]> {
  const op = operation();
  const wallets = Array.from({ length: WALLETS }, () => idOf('account', uuidv7(op.now)));
  await db.transact(async (tx) => {
    for (const id of wallets) await ledger.openWallet(tx, id);
  });
  const fund = (id: AccountId) => [
    { account: mint('USD'), amount: usd(-FUNDS) },
    { account: wallet(id, 'USD'), amount: FUNDS },
  ];
  await Promise.all(
    wallets.map((id) => ledger.submit(op, { id: transferId(), type: 'deposit', description: 'Funds', legs: fund(id) })),
  );
  return wallets;
}

const transferId = (): TransferId => idOf('transfer', uuidv7(new Date()));

const operation = (): Op => ({
  actor: { kind: 'system', name: 'bench' },
  requestId: 'bench',
  now: new Date(),
  signal: new AbortController().signal,
});

/** Makes pgbench's database; answers a function that measures its transactions per second. */
async function preparePgbench(pgbench: string, ownerUrl: string): Promise<() => Promise<number>> {
  const db = openDatabase({ url: ownerUrl, maxConnections: 1, onError: () => {} });
  await db.query(`create database ${PGBENCH_DATABASE}`).finally(() => db.close());
  const url = new URL(ownerUrl);
  url.pathname = `/${PGBENCH_DATABASE}`;
  await execute(pgbench, ['--initialize', '--quiet', `--scale=${PGBENCH_SCALE}`, url.href]);
  const load = [`--client=${PGBENCH_CLIENTS}`, `--jobs=${PGBENCH_THREADS}`, `--time=${MEASURE_MS / SECOND}`];
  return async () => {
    const { stdout } = await execute(pgbench, ['--no-vacuum', '--protocol=prepared', ...load, url.href]);
    const tps = Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]);
    if (!(tps > 0)) throw new Error(`pgbench did not say how fast it was:\n${stdout}`);
    return tps;
  };
}

/** Debian's pgbench, installed where it is missing, without a cluster of its own. */
async function findPgbench(): Promise<string> {
  const installed = async () => (await Array.fromAsync(glob('/usr/lib/postgresql/*/bin/pgbench'))).toSorted().at(-1);
  const found = await installed();
  if (found !== undefined) return found;
  await keepFromMakingACluster();
  await execute('apt-get', ['install', '-y', '--no-install-recommends', 'postgresql'], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  const made = await installed();
  if (made === undefined) throw new Error('pgbench is not there and could not be installed: install postgresql.');
  return made;
}

async function keepFromMakingACluster(): Promise<void> {
  const settings = '/etc/postgresql-common/createcluster.conf';
  const isThere = await access(settings).then(
    () => true,
    () => false,
  );
  if (!isThere) {
    await execute('mkdir', ['-p', '/etc/postgresql-common']);
    await writeFile(settings, 'create_main_cluster = false\n');
  }
}

function row(measureName: Measure, ours: number[], raw: number[]): Row {
  const own = ours.toSorted((a, b) => a - b);
  const [median, baseline] = [middle(own), middle(raw.toSorted((a, b) => a - b))];
  return {
    measure: measureName,
    unit: 'per second',
    median,
    min: own[0] ?? 0,
    max: own.at(-1) ?? 0,
    baseline,
    ratio: median / baseline,
  };
}

const middle = (sorted: number[]): number => sorted[Math.floor(sorted.length / 2)] ?? 0;
