import { expect, test } from 'vitest';
import { REVENUE, wallet } from '../../src/domains/ledger/index.ts';
import type { Money } from '../../src/kernel/money.ts';
import { openDatabase, type Tx } from '../../src/platform/db.ts';
import { testDatabase } from '../harness/database.ts';
import { systemOp } from '../harness/op.ts';
import { payment, reservation, useLedger, worldOn, type World } from './world.ts';

const world = useLedger();

/** A ledger with one of everything: an account's code, and the ids of its transfer and its holds. */
async function oneOfEach({ ledger, account }: World) {
  const purse = wallet(await account(1_000n), 'USD');
  const moved = payment(purse, REVENUE, 10n);
  const [pending, posted, voided] = [100n, 200n, 300n].map((amount) => reservation(purse, REVENUE, amount));
  if (!pending || !posted || !voided) throw new Error('there are three');
  await ledger.submit(systemOp(), moved);
  for (const hold of [pending, posted, voided]) await ledger.submitHold(systemOp(), hold);
  await ledger.submitResolution(systemOp(), posted.id, { kind: 'post', amount: 50n as Money });
  await ledger.submitResolution(systemOp(), voided.id, { kind: 'void' });
  return { purse, moved: moved.id, pending: pending.id, posted: posted.id, voided: voided.id };
}
type Planted = Awaited<ReturnType<typeof oneOfEach>>;

const inEntries = (change: string) => (it: Planted) =>
  [`update ledger_entries set ${change} where transfer_id = $1 and account_id <> 3`, it.moved] as const;
const DAMAGE: [string, (it: Planted) => readonly [string, string], string[]][] = [
  [
    'a balance',
    (it) => [`update ledger_accounts set posted = posted + 1 where code = $1`, it.purse],
    ['a balance is the sum of its entries', 'what is available is what its entries say', 'all balances sum to zero'],
  ],
  [
    'what is held',
    (it) => [`update ledger_accounts set held = held + 1 where code = $1`, it.purse],
    ['what is held is the sum of the pending holds', 'what is available is what its entries say'],
  ],
  [
    'the count of entries',
    (it) => [`update ledger_accounts set entries = entries + 1 where code = $1`, it.purse],
    ['an account counts its entries'],
  ],
  [
    'the amount of an entry',
    inEntries('posted_delta = posted_delta + 1'),
    [
      'a balance is the sum of its entries',
      'a running balance is the one before plus the change',
      'the legs of a transfer sum to zero',
    ],
  ],
  [
    'what an entry makes available',
    inEntries('available_delta = available_delta - 1'),
    ['what is available is what its entries say', 'a running available balance is the one before plus the change'],
  ],
  [
    'a running balance',
    inEntries('posted_after = posted_after + 1'),
    ['a running balance is the one before plus the change'],
  ],
  [
    'a running available balance',
    inEntries('available_after = available_after + 1'),
    ['a running available balance is the one before plus the change'],
  ],
  ['the number of an entry', inEntries('seq = seq + 100'), ['entries follow each other without a gap']],
  [
    'the account of an entry',
    inEntries('account_id = 999999'),
    ['an entry is of an account', 'a balance is the sum of its entries'],
  ],
  [
    'an entry that is gone',
    (it) => [`delete from ledger_entries where transfer_id = $1`, it.moved],
    ['a transfer has entries', 'an account counts its entries', 'entries follow each other without a gap'],
  ],
  [
    'a transfer that is gone',
    (it) => [`delete from ledger_transfers where id = $1`, it.moved],
    ['an entry is of a transfer'],
  ],
  [
    'the amount of a pending hold',
    (it) => [`update ledger_holds set amount = amount + 1 where id = $1`, it.pending],
    ['what is held is the sum of the pending holds', 'a hold is what its transfer put aside'],
  ],
  [
    'the amount of a posted hold',
    (it) => [`update ledger_holds set posted_amount = posted_amount + 1 where id = $1`, it.posted],
    [
      'the end of a hold gives back the rest',
      'the end of a hold takes what it posted',
      'the end of a hold pays what it posted',
    ],
  ],
  [
    'the state of a hold',
    (it) => [`update ledger_holds set state = 'expired' where id = $1`, it.voided],
    ['a hold ended as its transfer says'],
  ],
  [
    'a hold pending again',
    (it) => [
      `update ledger_holds set state = 'pending', resolved_at = null, resolved_by = null where id = $1`,
      it.voided,
    ],
    ['what is held is the sum of the pending holds', 'a hold has ended if a transfer ended it'],
  ],
  [
    'a hold that is gone',
    (it) => [`delete from ledger_holds where id = $1`, it.voided],
    ['a hold is there if its transfer is', 'a hold has ended if a transfer ended it'],
  ],
  [
    'whom a hold is for',
    (it) => [`update ledger_holds set to_account = 2 where id = $1`, it.posted],
    ['a hold is between accounts of one currency', 'the end of a hold pays what it posted'],
  ],
  [
    'a floor',
    (it) => [
      `alter table ledger_accounts drop constraint available_is_not_below_the_floor; update ledger_accounts set floor = 100000 where code = '${it.purse}'`,
      '',
    ],
    ['available is never below the floor'],
  ],
];

async function withoutTriggers(tx: Tx, [statement, value]: readonly [string, string]): Promise<void> {
  for (const table of ['accounts', 'transfers', 'entries', 'holds'])
    await tx.query(`alter table ledger_${table} disable trigger user`);
  await tx.query(statement, statement.includes('$1') ? [value] : undefined);
}

test.each(DAMAGE)('damage is found and named: %s', async (_what, damage, claims) => {
  const it = await oneOfEach(world);
  class Undo extends Error {}
  const planted = world.owner.transact(async (tx) => {
    await withoutTriggers(tx, damage(it));
    const { USD } = await world.ledger.reconcile(tx);
    expect(USD.valid).toBe(false);
    expect(USD.discrepancies.map(({ claim }) => claim)).toEqual(expect.arrayContaining(claims));
    throw new Undo();
  });
  await expect(planted).rejects.toThrow(Undo);
  const { USD, TCK } = await world.ledger.reconcile(world.db);
  expect([USD.discrepancies, TCK.discrepancies]).toEqual([[], []]);
});

test('a proof names the place, and what was expected there and found', async () => {
  const database = await testDatabase();
  const owner = openDatabase({ url: database.ownerUrl, onError: () => {} });
  const own = worldOn(database.db, owner);
  const it = await oneOfEach(own);
  await owner.query(`update ledger_accounts set entries = 70 where code = $1`, [it.purse]);
  expect((await own.ledger.reconcile(own.db)).USD).toMatchObject({
    valid: false,
    sumOfBalances: 0n,
    sumOfHolds: 100n,
    discrepancies: [{ claim: 'an account counts its entries', where: it.purse, expected: '7', found: '70' }],
  });
  await owner.close();
  await database.drop();
});

test('the proof holds at every moment of a running load', async () => {
  const { ledger, db } = world;
  const purses = await Promise.all(Array.from({ length: 10 }, async () => wallet(await world.account(10_000n), 'USD')));
  let state: 'running' | 'over' = 'running';
  const any = () => purses[Math.floor(Math.random() * purses.length)] ?? REVENUE;
  const caller = async () => {
    while (state === 'running') {
      const [from, to] = [any(), any()];
      if (from === to) continue;
      await ledger.submit(systemOp(), payment(from, to, 1n));
      const hold = reservation(from, to, 2n);
      await db.transact(async (tx) => ledger.hold(tx, systemOp(), hold));
      await ledger.submitResolution(systemOp(), hold.id, { kind: Math.random() < 0.5 ? 'post' : 'void' });
    }
  };
  const load = Promise.all(Array.from({ length: 16 }, caller));
  const sizes: bigint[] = [];
  for (let proofs = 0; proofs < 10; proofs++) {
    const { USD } = await ledger.reconcile(db);
    expect(USD.discrepancies).toEqual([]);
    sizes.push(USD.entriesChecked);
  }
  state = 'over';
  await load;
  expect(sizes.at(-1)).toBeGreaterThan(sizes[0] ?? 0n);
});
