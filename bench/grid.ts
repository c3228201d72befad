/**
 * Trades of the grid on the embedded PostgreSQL with the product's settings, through the verbs of the domain, without
 * HTTP. `trades` counts whole trades: a task is created, completed and settled, by 64 callers at a time between 256
 * nodes. `sweep` counts escrows settled per second by the sweep that finds 100,000 of them due.
 *
 * Beside each stands the plainest way to do the same in SQL on the same server, in the same round: one table of
 * balances, one of entries, a transaction for each step, and for the sweep a commit for each escrow, one after the
 * other. It has no facts, no holds, no running balances and no conditional transitions.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEscrows, type Escrows } from '../src/domains/grid/escrow/index.ts';
import type { NodeOp } from '../src/domains/grid/index.ts';
import { findNode, insertNode } from '../src/domains/grid/nodes/store.ts';
import { createLedger, escrow as escrowAccount, mint, wallet, type Ledger } from '../src/domains/ledger/index.ts';
import { idOf, uuidv7, type EscrowId, type ListingId, type NodeId, type TransferId } from '../src/kernel/ids.ts';
import { tck } from '../src/kernel/money.ts';
import type { Op } from '../src/kernel/op.ts';
import { after, DAY, SECOND } from '../src/kernel/time.ts';
import { openDatabase, type Database } from '../src/platform/db.ts';
import { createFetch } from '../src/platform/fetch.ts';
import { createLog } from '../src/platform/log.ts';
import { migrate } from '../src/platform/migrate.ts';
import { startPostgres } from '../src/platform/postgres/index.ts';
import type { Row } from './run.ts';

const ROUNDS = 3;
const MEASURE_MS = 5 * SECOND;
const CALLERS = 64;
const NODES = 256;
const DUE = 100_000;
/** Of the plain way: it is slow, and as slow at the end as at the beginning. */
const PLAIN_DUE = 2_000;
const PRICE = tck(50_000n);
const FUNDS = tck(10n ** 13n);
const ACCOUNTS_AT_ONCE = 31;
const INSERTED_AT_ONCE = 10_000;

type World = { db: Database; ledger: Ledger; escrows: Escrows; nodes: NodeOp[]; skills: ListingId[] };
type Measured = { ours: number[]; plain: number[] };

export async function run(options: { rounds?: number }): Promise<{ rounds: number; rows: Row[] }> {
  const rounds = options.rounds ?? ROUNDS;
  const dataDir = await mkdtemp(join(tmpdir(), 'freehold-bench-grid-'));
  const log = createLog({ level: 'warn' });
  const postgres = await startPostgres({ dataDir, log });
  await migrate(postgres.ownerUrl);
  const db = openDatabase({ url: postgres.appUrl, maxConnections: CALLERS, onError: (err) => log.warn({ err }) });
  const owner = openDatabase({ url: postgres.ownerUrl, maxConnections: CALLERS, onError: (err) => log.warn({ err }) });
  const ledger = createLedger({ db });
  const escrows = createEscrows({ db, ledger, log, fetch: createFetch({ privateAddresses: 'refused' }) });
  try {
    const world = { db, ledger, escrows, ...(await openNodes(db, ledger)) };
    await openPlain(owner);
    const trades: Measured = { ours: [], plain: [] };
    const sweep: Measured = { ours: [], plain: [] };
    for (let round = 0; round < rounds; round++) {
      trades.ours.push(await perSecond(() => trade(world)));
      trades.plain.push(await perSecond(() => plainTrade(owner)));
      sweep.ours.push(await settleAllDue(world));
      sweep.plain.push(await settlePlain(owner));
    }
    const { TCK } = await ledger.reconcile(db);
    if (!TCK.valid) throw new Error(`The ledger does not add up: ${JSON.stringify(TCK.discrepancies)}`);
    return { rounds, rows: [rowOf('trades', trades), rowOf('sweep', sweep)] };
  } finally {
    await escrows.close();
    await Promise.all([db.close(), owner.close()]);
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Nodes with money, each with one skill. */
async function openNodes(db: Database, ledger: Ledger): Promise<Pick<World, 'nodes' | 'skills'>> {
  const op = operation();
  const nodes: NodeOp[] = [];
  const skills: ListingId[] = [];
  for (let n = 0; n < NODES; n++) {
    const [accountId, skillId] = [idOf('account', uuidv7(op.now)), idOf('listing', uuidv7(op.now))];
    const id = `bench-${n}` as NodeId;
    await db.transact(async (tx) => {
      await tx.query(`insert into accounts (id, kind, name, created_at) values ($1, 'agent', $2, $3)`, [
        accountId,
        id,
        op.now,
      ]);
      await insertNode(tx, { id, accountId, sandbox: false, signupToken: undefined, createdAt: op.now });
      await tx.query(
        `insert into grid_skills (id, node_id, type, label, price, metadata, created_at)
         values ($1, $2, 'SKILL_OFFER', 'bench', $3, '{}', $4)`,
        [skillId, id, PRICE, op.now],
      );
      await ledger.openWallet(tx, accountId);
      await ledger.transfer(tx, op, deposit([{ account: wallet(accountId, 'TCK'), amount: FUNDS }]));
    });
    const node = await findNode(db, id);
    if (!node) throw new Error('a node that was made is there');
    nodes.push({ ...op, actor: { kind: 'account', accountId, scopes: null }, node });
    skills.push(skillId);
  }
  return { nodes, skills };
}

function deposit(to: { account: ReturnType<typeof wallet<'TCK'>>; amount: ReturnType<typeof tck> }[]) {
  const sum = to.reduce((total, { amount }) => total + amount, 0n);
  return {
    id: uuidv7(new Date()) as TransferId,
    type: 'deposit',
    description: 'Funds of the benchmark',
    legs: [{ account: mint('TCK'), amount: tck(-sum) }, ...to],
  };
}

/** One whole trade between two nodes that chance has picked. */
async function trade({ escrows, nodes, skills }: World): Promise<void> {
  const seller = Math.floor(Math.random() * NODES);
  const buyer = (seller + 1 + Math.floor(Math.random() * (NODES - 1))) % NODES;
  const [from, to, skillId] = [nodes[buyer], nodes[seller], skills[seller]];
  if (!from || !to || !skillId) throw new Error('every node has a skill');
  const now = new Date();
  const { task } = await escrows.createTask({ ...from, now }, { skillId, input: { text: 'Hola' } });
  await escrows.complete({ ...to, now }, { taskId: task.id, output: { text: 'Hello' }, proofHash: 'a' });
  await escrows.settle({ ...to, now: after(now, DAY) }, task.escrowId ?? '');
}

async function perSecond(turn: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  let done = 0;
  const caller = async () => {
    while (performance.now() - begun < MEASURE_MS) {
      await turn();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return done / ((performance.now() - begun) / SECOND);
}

/** Makes so many escrows whose window is over, and answers how many the sweep settles in a second. */
async function settleAllDue(world: World): Promise<number> {
  await makeDue(world);
  const begun = performance.now();
  const { settled } = await world.escrows.settleAll(operation());
  if (settled !== DUE) throw new Error(`${settled} escrows were settled, not ${DUE}`);
  return settled / ((performance.now() - begun) / SECOND);
}

/** As they stand after their tasks were completed a day ago, with their money. */
async function makeDue({ db, ledger }: World): Promise<void> {
  const op = operation();
  for (let made = 0; made < DUE; made += INSERTED_AT_ONCE) {
    const ids = Array.from({ length: INSERTED_AT_ONCE }, () => uuidv7(op.now) as EscrowId);
    await db.transact(async (tx) => {
      await tx.query(
        `insert into grid_escrows (id, buyer_id, seller_id, amount, state, refund_at, settle_at, created_at)
         select i.id, 'bench-' || i.n % ${NODES}, 'bench-' || (i.n + 1) % ${NODES}, $2, 'AWAITING_SETTLEMENT', $3, $3, $3
           from unnest($1::uuid[]) with ordinality as i (id, n)`,
        [ids, PRICE, after(op.now, -DAY)],
      );
      await tx.query(
        `insert into grid_tasks (id, skill_id, buyer_id, seller_id, escrow_id, input, output, status, created_at, completed_at)
         select gen_random_uuid(), s.id, e.buyer_id, e.seller_id, e.id, '{}', '{"text": "Hello"}', 'COMPLETED', $2, $2
           from grid_escrows e join grid_skills s on s.node_id = e.seller_id where e.id = any ($1)`,
        [ids, after(op.now, -DAY)],
      );
      await tx.query(`select ledger_open('escrow:' || id || ':TCK', 0) from unnest($1::uuid[]) as i (id)`, [ids]);
      const parts = Array.from({ length: Math.ceil(ids.length / ACCOUNTS_AT_ONCE) }, (_, n) =>
        ids.slice(n * ACCOUNTS_AT_ONCE, (n + 1) * ACCOUNTS_AT_ONCE),
      );
      await ledger.transferAll(
        tx,
        op,
        parts.map((part) => deposit(part.map((id) => ({ account: escrowAccount(id), amount: PRICE })))),
      );
    });
  }
  await db.query(`analyze grid_escrows, grid_tasks`);
}

/** The tables of the plain way. */
async function openPlain(owner: Database): Promise<void> {
  await owner.query(`create table plain_nodes (id integer primary key, balance numeric not null)`);
  await owner.query(
    `create table plain_escrows (id bigint generated always as identity primary key, buyer integer, seller integer,
                                 amount numeric, status text, settle_at timestamptz)`,
  );
  await owner.query(
    `create table plain_tasks (id bigint generated always as identity primary key, escrow_id bigint, status text,
                               input jsonb, output jsonb)`,
  );
  await owner.query(`create index on plain_tasks (escrow_id)`);
  await owner.query(
    `create table plain_entries (id bigint generated always as identity primary key, account text, amount numeric,
                                 type text, reference bigint)`,
  );
  await owner.query(`insert into plain_nodes select n, 1000000000 from generate_series(0, ${NODES}) n`);
}

async function plainTrade(owner: Database): Promise<void> {
  const seller = 1 + Math.floor(Math.random() * (NODES - 1));
  const buyer = (seller + 1 + Math.floor(Math.random() * (NODES - 1))) % NODES;
  const id = await owner.transact(async (tx) => {
    await tx.query(`select balance from plain_nodes where id = $1 for update`, [buyer]);
    const [made] = await tx.query<{ id: bigint }>(
      `insert into plain_escrows (buyer, seller, amount, status) values ($1, $2, 5, 'PENDING') returning id`,
      [buyer, seller],
    );
    await tx.query(`update plain_nodes set balance = balance - 5 where id = $1`, [buyer]);
    await tx.query(
      `insert into plain_entries (account, amount, type, reference) values ($1, -5, 'ESCROW_LOCK', $2), ('E', 5, 'ESCROW_LOCK', $2)`,
      [`${buyer}`, made?.id],
    );
    await tx.query(`insert into plain_tasks (escrow_id, status, input) values ($1, 'OPEN', '{"text": "Hola"}')`, [
      made?.id,
    ]);
    return made?.id;
  });
  await owner.transact(async (tx) => {
    await tx.query(`update plain_tasks set status = 'COMPLETED', output = '{"text": "Hello"}' where escrow_id = $1`, [
      id,
    ]);
    await tx.query(`update plain_escrows set status = 'AWAITING_SETTLEMENT', settle_at = now() where id = $1`, [id]);
  });
  await settleOnePlain(owner, id ?? 0n);
}

/** What a worker does for each escrow that is due, with a commit for each. */
const settleOnePlain = (owner: Database, id: bigint): Promise<void> =>
  owner.transact(async (tx) => {
    const [found] = await tx.query<{ seller: number }>(
      `select seller from plain_escrows where id = $1 and status = 'AWAITING_SETTLEMENT' for update`,
      [id],
    );
    await tx.query(`select output from plain_tasks where escrow_id = $1`, [id]);
    await tx.query(`update plain_nodes set balance = balance + 4.85 where id = $1`, [found?.seller]);
    await tx.query(
      `insert into plain_entries (account, amount, type, reference)
       values ('E', -4.85, 'ESCROW_SETTLE', $2), ($1, 4.85, 'ESCROW_SETTLE', $2),
              ('E', -0.15, 'PROTOCOL_TAX', $2), ('VAULT', 0.15, 'PROTOCOL_TAX', $2)`,
      [`${found?.seller}`, id],
    );
    await tx.query(`update plain_escrows set status = 'SETTLED' where id = $1`, [id]);
  });

async function settlePlain(owner: Database): Promise<number> {
  const made = await owner.query<{ id: bigint }>(
    `insert into plain_escrows (buyer, seller, amount, status, settle_at)
     select 0, 1 + n % ${NODES - 1}, 5, 'AWAITING_SETTLEMENT', now() from generate_series(1, ${PLAIN_DUE}) n returning id`,
  );
  const begun = performance.now();
  for (const { id } of made) await settleOnePlain(owner, id);
  return PLAIN_DUE / ((performance.now() - begun) / SECOND);
}

const operation = (): Op => ({
  actor: { kind: 'system', name: 'bench' },
  requestId: 'bench',
  now: new Date(),
  signal: new AbortController().signal,
});

function rowOf(measure: string, { ours, plain }: Measured): Row {
  const own = ours.toSorted((a, b) => a - b);
  const [median, baseline] = [middle(own), middle(plain.toSorted((a, b) => a - b))];
  return {
    measure,
    unit: 'per second',
    median,
    min: own[0] ?? 0,
    max: own.at(-1) ?? 0,
    baseline,
    ratio: median / baseline,
  };
}

const middle = (sorted: number[]): number => sorted[Math.floor(sorted.length / 2)] ?? 0;
