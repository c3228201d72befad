import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { createLedger, wallet, type Ledger } from '../../src/domains/ledger/index.ts';
import { createPayments, type FormerCoins, type Payments, type Topup } from '../../src/domains/payments/index.ts';
import { uuidv7, type AccountId } from '../../src/kernel/ids.ts';
import type { AccountOp, Op } from '../../src/kernel/op.ts';
import { createFetch } from '../../src/platform/fetch.ts';
import { createLog } from '../../src/platform/log.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { accountOp, systemOp } from '../harness/op.ts';
import { startBetween, type Between } from './between.ts';
import { startNode, type TestCoin, type TestNode } from './node.ts';

export const CONFIRMATIONS = 3;
const START = new Date('2026-03-13T12:00:00.000Z');
const SILENCE_MS = 500;

export type PaymentsWorld = {
  database: TestDatabase;
  ledger: Ledger;
  payments: Payments;
  node: TestNode;
  /** What the payments ask instead of the node itself. */
  between: Between;
  coin: TestCoin;
  dir: string;
  /** What was logged, as JSON lines. */
  logged: string[];
  clock: { at: Date; now(): Date; advance(milliseconds: number): void };
  account(): Promise<AccountId>;
  /** An account that has paid once. */
  payer(): Promise<AccountId>;
  op(accountId: AccountId, seed?: Buffer): AccountOp;
  system(): Op;
  /** A top-up as it is asked for. */
  asked(accountId: AccountId, amountUsd?: string): Promise<Topup>;
  again(topup: Topup): Promise<Topup>;
  /** Looks at the chain as the sweep does: until there is nothing more. */
  look(payments?: Payments): Promise<number>;
  available(accountId: AccountId): Promise<bigint>;
  facts(subject: string): Promise<string[]>;
  /** The domain as another process has it. */
  over(given?: {
    ledger?: Partial<Ledger>;
    token?: string;
    confirmations?: number;
    formerCoins?: FormerCoins;
    off?: true;
  }): Payments;
};

/** Payments over the real ledger and a real chain. */
export function paymentsWorld(): PaymentsWorld {
  const clock: PaymentsWorld['clock'] = {
    at: START,
    now: () => clock.at,
    advance: (milliseconds) => void (clock.at = new Date(clock.at.getTime() + milliseconds)),
  };
  const world = { clock, logged: [] as string[], ...actions(() => world) } as PaymentsWorld;
  beforeAll(async () => {
    world.node = await startNode();
    world.between = await startBetween(world.node.url);
  });
  beforeEach(async () => {
    clock.at = START;
    world.logged.length = 0;
    world.between.trick = undefined;
    world.database = await testDatabase();
    world.ledger = createLedger({ db: world.database.db });
    world.coin = await world.node.coin();
    world.dir = await mkdtemp(join(tmpdir(), 'freehold-payments-'));
    world.payments = world.over();
  });
  afterEach(async () => {
    await world.database.drop();
    await rm(world.dir, { recursive: true, force: true });
  });
  afterAll(async () => {
    await world.between.stop();
    await world.node.stop();
  });
  return world;
}

function actions(it: () => PaymentsWorld): Partial<PaymentsWorld> {
  return {
    over({ ledger, token = it().coin.address, confirmations = CONFIRMATIONS, formerCoins = 'credited', off } = {}) {
      const { database, clock, between, dir, logged } = it();
      return createPayments({
        db: database.db,
        clock,
        log: createLog({ level: 'info', destination: { write: (line) => void logged.push(line) } }),
        ledger: { ...it().ledger, ...ledger },
        secret: Buffer.alloc(32, 7),
        dir,
        evm: off ? undefined : { rpcUrl: between.url, token, confirmations, formerCoins },
        send: createFetch({ privateAddresses: 'allowed', timeLimitMs: SILENCE_MS, maxReplyBytes: 1_000_000 }).send,
      });
    },
    async account() {
      const id = uuidv7(new Date()) as AccountId;
      await it().database.db.transact((tx) => it().ledger.openWallet(tx, id));
      return id;
    },
    async payer() {
      const id = await it().account();
      await it().database.db.query(`insert into topup_payers (account_id, paid_at) values ($1, $2)`, [
        id,
        it().clock.now(),
      ]);
      return id;
    },
    op: (accountId, seed) => ({ ...accountOp(accountId, { now: it().clock.now() }), ...(seed && { seed }) }),
    system: () => systemOp(it().clock.now()),
    asked: (accountId, amountUsd = '25.00') => it().payments.request(it().op(accountId), { amountUsd, coin: 'USDC' }),
    again: (topup) => it().payments.get(it().op(topup.accountId), topup.id),
    async look(payments = it().payments) {
      let total = 0;
      for (let done = -1; done !== 0; total += Math.max(done, 0)) done = await payments.watch(it().system());
      return total;
    },
    available: async (accountId) => (await it().ledger.balance(it().database.db, wallet(accountId, 'USD'))).available,
    facts: async (subject) =>
      (
        await it().database.db.query<{ type: string }>(`select type from facts where subject = $1 order by seq`, [
          subject,
        ])
      ).map(({ type }) => type),
  };
}
