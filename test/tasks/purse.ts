import { mint, wallet, type Change, type Ledger } from '../../src/domains/ledger/index.ts';
import { uuidv7, type AccountId, type TransferId } from '../../src/kernel/ids.ts';
import { cents, floorToCents } from '../../src/kernel/money.ts';
import type { Database } from '../../src/platform/db.ts';
import { systemOp } from '../harness/op.ts';

/** What tests of tasks need of the ledger. */
export type Purse = {
  /** Opens the account's wallets and puts money into them. */
  fund(account: AccountId, amountCents: number): Promise<void>;
  /** Whole cents that the account may spend. */
  balance(account: AccountId): Promise<number>;
  /** What became of a hold. */
  holdState(id: TransferId): Promise<string | undefined>;
  /** Newest first. */
  statement(account: AccountId): Promise<Change[]>;
  proof(): Promise<{ valid: boolean; discrepancies: unknown[] }>;
};

export const purseOf = (ledger: Ledger, db: Database): Purse => ({
  fund: (account, amountCents) =>
    db.transact(async (tx) => {
      await ledger.openWallet(tx, account);
      const amount = cents(amountCents);
      if (amount === 0n) return;
      const legs = [
        { account: mint('USD'), amount: cents(-amountCents) },
        { account: wallet(account, 'USD'), amount },
      ];
      const id = uuidv7(new Date()) as TransferId;
      await ledger.transfer(tx, systemOp(), { id, type: 'deposit', description: 'Test credit', legs });
    }),
  balance: async (account) => floorToCents((await ledger.balance(db, wallet(account, 'USD'))).available),
  holdState: async (id) =>
    (await db.query<{ state: string }>(`select state from ledger_holds where id = $1`, [id]))[0]?.state,
  statement: async (account) => (await ledger.statement(db, wallet(account, 'USD'), { limit: 100 })).rows,
  proof: async () => (await ledger.reconcile(db)).USD,
});
