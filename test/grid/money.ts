import { expect } from 'vitest';
import { mint, wallet, type Code } from '../../src/domains/ledger/index.ts';
import { idOf, uuidv7, type AccountId } from '../../src/kernel/ids.ts';
import { tck, type Tck } from '../../src/kernel/money.ts';
import type { TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import type { TestNode } from './node.ts';

const UNITS_PER_TCK = 10_000;

export const units = (amount: number): Tck => tck(BigInt(Math.round(amount * UNITS_PER_TCK)));

export async function accountOf(node: TestNode): Promise<AccountId> {
  return (await node.call('GET', '/v1/account')).body.account_id;
}

/** Gives a node TCK out of nothing. */
export async function give({ db, ledger }: TestApis, node: TestNode, amount: number): Promise<void> {
  const account = wallet(await accountOf(node), 'TCK');
  await db.transact((tx) =>
    ledger.transfer(tx, systemOp(), {
      id: idOf('transfer', uuidv7(new Date())),
      type: 'deposit',
      description: 'For a test',
      legs: [
        { account: mint('TCK'), amount: tck(-units(amount)) },
        { account, amount: units(amount) },
      ],
    }),
  );
}

/** What a ledger account has, in whole TCK. */
export async function has({ db, ledger }: TestApis, account: Code<'TCK'>): Promise<number> {
  return Number((await ledger.balance(db, account)).posted) / UNITS_PER_TCK;
}

export const balanceOf = async (world: TestApis, node: TestNode): Promise<number> =>
  has(world, wallet(await accountOf(node), 'TCK'));

/** Every claim of the ledger holds. */
export async function expectSound({ db, ledger }: TestApis): Promise<void> {
  const { TCK } = await ledger.reconcile(db);
  expect(TCK).toMatchObject({ valid: true, discrepancies: [] });
}
