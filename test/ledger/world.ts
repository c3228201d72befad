import { afterAll, beforeAll } from 'vitest';
import { createLedger, mint, wallet, type Code, type Ledger } from '../../src/domains/ledger/index.ts';
import { isAppError } from '../../src/kernel/errors.ts';
import { idOf, uuidv7, type AccountId, type TransferId } from '../../src/kernel/ids.ts';
import type { Currency, Money } from '../../src/kernel/money.ts';
import { openDatabase, type Database } from '../../src/platform/db.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { systemOp } from '../harness/op.ts';

export type World = {
  ledger: Ledger;
  db: Database;
  /** The database as its owner. */
  owner: Database;
  /** A new account with wallets and some micro-dollars. */
  account(micros?: bigint): Promise<AccountId>;
  available(account: Code): Promise<bigint>;
};

export const newTransferId = (): TransferId => idOf('transfer', uuidv7(new Date()));
export const newAccountId = (): AccountId => idOf('account', uuidv7(new Date()));

/** What a transfer of two legs says. */
export const payment = (from: Code, to: Code, amount: bigint, id = newTransferId()) => ({
  id,
  type: 'payment',
  description: 'A payment',
  legs: [
    { account: from, amount: -amount as Money },
    { account: to, amount: amount as Money },
  ],
});

export const reservation = (from: Code, to: Code, amount: bigint, expiresAt?: Date) => ({
  id: newTransferId(),
  type: 'reserve',
  description: 'A reservation',
  releaseType: 'refund',
  from,
  to,
  amount: amount as Money,
  ...(expiresAt && { expiresAt }),
});

/** Opens a ledger on a database of its own for the tests of a file. */
export function useLedger(): World {
  const world = {} as World;
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
    const owner = openDatabase({ url: database.ownerUrl, onError: () => {} });
    Object.assign(world, worldOn(database.db, owner));
  });
  afterAll(async () => {
    await world.owner.close();
    await database.drop();
  });
  return world;
}

export function worldOn(db: Database, owner: Database): World {
  const ledger = createLedger({ db });
  return {
    ledger,
    db,
    owner,
    async account(micros = 0n) {
      const id = newAccountId();
      await db.transact((tx) => ledger.openWallet(tx, id));
      if (micros > 0n) await ledger.submit(systemOp(), payment(mint('USD'), wallet(id, 'USD'), micros));
      return id;
    },
    available: async (account) => (await ledger.balance(db, account)).available,
  };
}

/** What a verb came to: its outcome, or the code of its refusal. */
export async function outcomeOf(verb: Promise<{ outcome: string }>): Promise<string> {
  try {
    return (await verb).outcome;
  } catch (error) {
    if (isAppError(error)) return error.code;
    throw error;
  }
}

/** How often each thing occurs. */
export function tally(things: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const thing of things) counts[thing] = (counts[thing] ?? 0) + 1;
  return counts;
}

export const currencyOf = (code: Code): Currency => (code.endsWith('USD') ? 'USD' : 'TCK');
