import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { createCompute, type Compute, type Server, type ServerOrder } from '../../src/domains/compute/index.ts';
import { createLedger, mint, wallet, type Change, type Ledger } from '../../src/domains/ledger/index.ts';
import { createMachines, type Machines, type Ssh } from '../../src/domains/machines/index.ts';
import { uuidv7, type AccountId, type BackupId, type ServerId, type TransferId } from '../../src/kernel/ids.ts';
import { usd } from '../../src/kernel/money.ts';
import type { AccountOp, Op } from '../../src/kernel/op.ts';
import { openBlobs, type BlobStore } from '../../src/platform/blob/index.ts';
import { createLog } from '../../src/platform/log.ts';
import { listedMachines, type ListedMachines } from '../fakes/driver.ts';
import { listedSsh, type ListedSsh } from '../fakes/ssh.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { accountOp, systemOp } from '../harness/op.ts';

const START = new Date('2026-03-13T12:00:00.000Z');
export const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS me@home';

type Neighbours = {
  machines?: Partial<Machines>;
  ledger?: Partial<Ledger>;
  ssh?: Partial<Ssh>;
  blobs?: Partial<BlobStore>;
  addresses?: string[];
};

export type ServersWorld = {
  database: TestDatabase;
  driver: ListedMachines;
  machines: Machines;
  ssh: ListedSsh;
  ledger: Ledger;
  compute: Compute;
  blobs: BlobStore;
  /** Where the backups are. */
  blobFolder: string;
  /** Stands still until a test moves it, so that money is exact. */
  clock: { at: Date; now(): Date; advance(milliseconds: number): void };
  /** An account with so much money. */
  account(micros?: bigint): Promise<AccountId>;
  pay(accountId: AccountId, micros: bigint): Promise<void>;
  op(accountId: AccountId, seed?: Buffer): AccountOp;
  system(): Op;
  deployed(accountId: AccountId, order?: Partial<ServerOrder>): Promise<Server>;
  /** A server that is up. */
  active(accountId: AccountId, order?: Partial<ServerOrder>): Promise<Server>;
  again(server: Pick<Server, 'id' | 'offer'>): Promise<Server>;
  /** Does everything that is due, as the sweeps and the jobs do. */
  sweep(): Promise<void>;
  available(accountId: AccountId): Promise<bigint>;
  /** Oldest first. */
  history(accountId: AccountId): Promise<Change[]>;
  facts(subject: string): Promise<string[]>;
  /** Lets another process work on a server, until it is let go. */
  claimedByAnother(server: Server): Promise<void>;
  letGo(server: Server): Promise<void>;
  /** Moves what a process left behind into the past, so that it counts as abandoned. */
  abandon(): Promise<void>;
  /** The domain as another process has it, with another idea of its neighbours. */
  over(neighbours: Neighbours): Compute;
};

/** Servers over the real machines and the real ledger, on a host whose machines only exist on its list. */
export function serversWorld(): ServersWorld {
  const clock: ServersWorld['clock'] = {
    at: START,
    now: () => clock.at,
    advance: (milliseconds) => void (clock.at = new Date(clock.at.getTime() + milliseconds)),
  };
  const waiting = new Map<string, string>();
  const world = { clock, ...actions(() => world, waiting) } as ServersWorld;
  beforeEach(async () => {
    clock.at = START;
    waiting.clear();
    world.driver = listedMachines();
    world.ssh = listedSsh();
    world.database = await testDatabase();
    const { db } = world.database;
    world.machines = createMachines({ db, driver: world.driver, clock, log: createLog({ level: 'silent' }) });
    world.ledger = createLedger({ db });
    world.blobFolder = await mkdtemp(join(tmpdir(), 'freehold-blobs-'));
    world.blobs = openBlobs({ directory: world.blobFolder });
    world.compute = world.over({});
  });
  afterEach(async () => {
    await world.database.drop();
    await rm(world.blobFolder, { recursive: true, force: true });
  });
  return world;
}

function actions(it: () => ServersWorld, waiting: Map<string, string>): Partial<ServersWorld> {
  const query: TestDatabase['db']['query'] = (text, values) => it().database.db.query(text, values);
  const order = (given: Partial<ServerOrder>): ServerOrder => ({
    name: 'my-bot',
    planId: 'vc2-1c-1gb',
    regionId: 'ams',
    ...given,
  });
  return {
    over({ machines, ledger, ssh, blobs, addresses = [] }) {
      const { database, clock } = it();
      return createCompute({
        db: database.db,
        clock,
        log: createLog({ level: 'silent' }),
        jobs: {
          enqueue: async (_tx, { name }, data) => void waiting.set((data as unknown as { id: string }).id, name),
        },
        blobs: { ...it().blobs, ...blobs },
        machines: { ...it().machines, ...machines },
        ledger: { ...it().ledger, ...ledger },
        ssh: { ...it().ssh, ...ssh },
        secret: Buffer.alloc(32, 7),
        addresses,
        hostAddress: async () => '192.0.2.10',
        place: 'test-host',
        home: 'fra',
      });
    },
    async account(micros = 1_000_000n) {
      const accountId = uuidv7(new Date()) as AccountId;
      await it().database.db.transact((tx) => it().ledger.openWallet(tx, accountId));
      if (micros > 0n) await it().pay(accountId, micros);
      return accountId;
    },
    pay: async (accountId, micros) =>
      void (await it().ledger.submit(it().system(), {
        id: uuidv7(new Date()) as TransferId,
        type: 'deposit',
        description: 'Test money',
        legs: [
          { account: mint('USD'), amount: usd(-micros) },
          { account: wallet(accountId, 'USD'), amount: usd(micros) },
        ],
      })),
    op: (accountId, seed) => ({ ...accountOp(accountId, { now: it().clock.now() }), ...(seed && { seed }) }),
    system: () => systemOp(it().clock.now()),
    async deployed(accountId, given = {}) {
      const [deployed] = await it().compute.deploy(it().op(accountId), [order(given)]);
      if (!deployed) throw new Error('nothing was deployed');
      return deployed.server;
    },
    async active(accountId, given = {}) {
      const server = await it().deployed(accountId, given);
      await it().sweep();
      return it().again(server);
    },
    again: ({ id, offer }) => it().compute.get(it().system(), offer, id),
    async sweep() {
      await it().machines.sweep(it().system());
      for (let found = 1; found > 0;) {
        found = (await it().compute.tick(it().system())) + waiting.size;
        for (const [id, name] of waiting) {
          waiting.delete(id);
          if (name === 'compute.back-up') await it().compute.settleBackup(it().system(), id as BackupId);
          else await it().compute.settle(it().system(), id as ServerId);
        }
      }
    },
    available: async (accountId) => (await it().ledger.balance(it().database.db, wallet(accountId, 'USD'))).available,
    history: async (accountId) =>
      (await it().ledger.statement(it().database.db, wallet(accountId, 'USD'), { limit: 1_000 })).rows.toReversed(),
    facts: async (subject) =>
      (await query<{ type: string }>(`select type from facts where subject = $1 order by seq`, [subject])).map(
        ({ type }) => type,
      ),
    claimedByAnother: async ({ id }) =>
      void (await query(
        `update servers set claim = gen_random_uuid(), claimed_until = clock_timestamp() + interval '1 minute' where id = $1`,
        [id],
      )),
    letGo: async ({ id }) =>
      void (await query(`update servers set claim = null, claimed_until = null where id = $1`, [id])),
    async abandon() {
      for (const table of ['servers', 'backups'])
        await query(
          `update ${table}
              set touched_at = touched_at - interval '1 hour', claimed_until = claimed_until - interval '1 hour'`,
        );
      await query(`update machine_snapshots set taking_until = taking_until - interval '1 hour'`);
    },
  };
}
