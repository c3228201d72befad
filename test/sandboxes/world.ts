import { afterEach, beforeEach } from 'vitest';
import { createLedger, mint, wallet, type Change, type Ledger } from '../../src/domains/ledger/index.ts';
import { createMachines, type Machines } from '../../src/domains/machines/index.ts';
import { createSandboxes, type NewSandbox, type Sandbox, type Sandboxes } from '../../src/domains/sandboxes/index.ts';
import { AppError } from '../../src/kernel/errors.ts';
import { uuidv7, type AccountId, type TransferId } from '../../src/kernel/ids.ts';
import { usd } from '../../src/kernel/money.ts';
import type { AccountOp, Op } from '../../src/kernel/op.ts';
import { createLog } from '../../src/platform/log.ts';
import { listedMachines, type ListedMachines } from '../fakes/driver.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { accountOp, systemOp } from '../harness/op.ts';

const NO_IMAGES = {
  resolve: () => Promise.reject(new AppError('not_found', 'Image not found')),
};
const START = new Date('2026-03-13T12:00:00.000Z');

export type SandboxWorld = {
  database: TestDatabase;
  driver: ListedMachines;
  machines: Machines;
  ledger: Ledger;
  sandboxes: Sandboxes;
  /** Stands still until a test moves it, so that money is exact. */
  clock: { at: Date; now(): Date; advance(milliseconds: number): void };
  /** An account with so much money. */
  account(micros?: bigint): Promise<AccountId>;
  op(accountId: AccountId, seed?: Buffer): AccountOp;
  system(): Op;
  /** A sandbox of the account. */
  started(accountId: AccountId, request?: Partial<NewSandbox>): Promise<Sandbox>;
  /** Does everything that is due, as the sweeps do; answers how much the sandboxes' own did. */
  sweep(): Promise<number>;
  available(accountId: AccountId): Promise<bigint>;
  /** Oldest first. */
  history(accountId: AccountId): Promise<Change[]>;
  facts(subject: string): Promise<string[]>;
  /** Moves what a process left behind into the past, so that it counts as abandoned. */
  abandon(): Promise<void>;
  /** The domain as another process has it, with another idea of its neighbours. */
  over(neighbours: { machines?: Partial<Machines>; ledger?: Partial<Ledger> }): Sandboxes;
};

/** Sandboxes over the real machines and the real ledger, on a host whose machines only exist on its list. */
export function sandboxWorld(): SandboxWorld {
  const clock: SandboxWorld['clock'] = {
    at: START,
    now: () => clock.at,
    advance: (milliseconds) => void (clock.at = new Date(clock.at.getTime() + milliseconds)),
  };
  const world = { clock, ...actions(() => world) } as SandboxWorld;
  beforeEach(async () => {
    clock.at = START;
    world.driver = listedMachines();
    world.database = await testDatabase();
    const { db } = world.database;
    world.machines = createMachines({ db, driver: world.driver, clock, log: createLog({ level: 'silent' }) });
    world.ledger = createLedger({ db });
    world.sandboxes = world.over({});
  });
  afterEach(() => world.database.drop());
  return world;
}

function actions(it: () => SandboxWorld): Partial<SandboxWorld> {
  const query: TestDatabase['db']['query'] = (text, values) => it().database.db.query(text, values);
  return {
    over: ({ machines, ledger }) => {
      const { database, clock } = it();
      return createSandboxes({
        db: database.db,
        clock,
        log: createLog({ level: 'silent' }),
        jobs: { nudge: async () => {} },
        machines: { ...it().machines, ...machines },
        ledger: { ...it().ledger, ...ledger },
        images: NO_IMAGES,
        secret: Buffer.alloc(32, 7),
      });
    },
    async account(micros = 1_000_000n) {
      const { database, ledger, clock } = it();
      const accountId = uuidv7(new Date()) as AccountId;
      await database.db.transact(async (tx) => {
        await ledger.openWallet(tx, accountId);
        if (micros === 0n) return;
        await ledger.transfer(tx, systemOp(clock.now()), {
          id: uuidv7(new Date()) as TransferId,
          type: 'deposit',
          description: 'Test money',
          legs: [
            { account: mint('USD'), amount: usd(-micros) },
            { account: wallet(accountId, 'USD'), amount: usd(micros) },
          ],
        });
      });
      return accountId;
    },
    op: (accountId, seed) => ({ ...accountOp(accountId, { now: it().clock.now() }), ...(seed && { seed }) }),
    system: () => systemOp(it().clock.now()),
    started: (accountId, request = {}) => it().sandboxes.create(it().op(accountId), { origin: 'agents', ...request }),
    async sweep() {
      let done = 0;
      await it().machines.sweep(it().system());
      for (let found = 1; found > 0; done += found) found = await it().sandboxes.tick(it().system());
      return done;
    },
    available: async (accountId) => (await it().ledger.balance(it().database.db, wallet(accountId, 'USD'))).available,
    history: async (accountId) =>
      (await it().ledger.statement(it().database.db, wallet(accountId, 'USD'), { limit: 1_000 })).rows.toReversed(),
    facts: async (subject) =>
      (await query<{ type: string }>(`select type from facts where subject = $1 order by seq`, [subject])).map(
        ({ type }) => type,
      ),
    async abandon() {
      await query(`update sandboxes set touched_at = touched_at - interval '1 hour'`);
      await query(`update sandbox_forks set touched_at = touched_at - interval '1 hour'`);
    },
  };
}
