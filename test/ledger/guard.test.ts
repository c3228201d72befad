import { describe, expect, test } from 'vitest';
import { mint, REVENUE, wallet, type Code } from '../../src/domains/ledger/index.ts';
import { after, SECOND } from '../../src/kernel/time.ts';
import type { Money } from '../../src/kernel/money.ts';
import type { Db } from '../../src/platform/db.ts';
import { systemOp } from '../harness/op.ts';
import { brokenInvariants } from './invariants.ts';
import { newTransferId, outcomeOf, payment, reservation, useLedger } from './world.ts';

const world = useLedger();
const TABLES = ['ledger_accounts', 'ledger_transfers', 'ledger_entries', 'ledger_holds'];

const COMMAND = {
  kind: 'transfer',
  type: 'raw',
  description: 'Raw',
  metadata: {},
  request_id: 'raw',
  at: new Date(),
  legs: 2,
};
type RawLeg = { account: string; amount: unknown };
/** Calls the database's function as the application role may, past everything that TypeScript checks. */
const raw = (db: Db, command: Record<string, unknown>, legs: RawLeg[] = []) =>
  db.query<{ outcome: string }>(`select * from ledger_apply($1, $2)`, [
    JSON.stringify([{ id: newTransferId(), ...COMMAND, ...command }]),
    JSON.stringify(legs),
  ]);
const usd = async (amount = 0n) => wallet(await world.account(amount), 'USD');

test.each(TABLES)('the application role reads %s and cannot write it', async (table) => {
  await world.account(10n);
  await world.db.query(`select from ${table} limit 1`);
  const denied = 'permission denied';
  await expect(world.db.query(`insert into ${table} default values`)).rejects.toThrow(denied);
  const column = { ledger_entries: 'seq', ledger_accounts: 'code' }[table] ?? 'id';
  await expect(world.db.query(`update ${table} set ${column} = ${column}`)).rejects.toThrow(denied);
  await expect(world.db.query(`delete from ${table}`)).rejects.toThrow(denied);
  await expect(world.db.query(`truncate ${table}`)).rejects.toThrow(denied);
  await expect(world.db.query(`alter table ${table} disable trigger all`)).rejects.toThrow('must be owner');
});

test.each(['ledger_entries', 'ledger_transfers'])(
  'not even the owner changes or removes what stands in %s',
  async (table) => {
    await world.account(10n);
    const immutable = 'is immutable';
    const column = { ledger_entries: 'seq', ledger_accounts: 'code' }[table] ?? 'id';
    await expect(world.owner.query(`update ${table} set ${column} = ${column}`)).rejects.toThrow(immutable);
    await expect(world.owner.query(`delete from ${table}`)).rejects.toThrow(immutable);
    await expect(world.owner.query(`truncate ${table}`)).rejects.toThrow(immutable);
  },
);

test('not even the owner removes a hold, changes what it says, or ends it twice', async () => {
  const purse = await usd(100n);
  const [pending, ended] = [reservation(purse, REVENUE, 10n), reservation(purse, REVENUE, 10n)];
  await world.ledger.submitHold(systemOp(), pending);
  await world.ledger.submitHold(systemOp(), ended);
  await world.ledger.submitResolution(systemOp(), ended.id, { kind: 'void' });
  const owner = (text: string, id: string) => world.owner.query(`${text} where id = $1`, [id]);
  await expect(owner(`update ledger_holds set amount = 1`, pending.id)).rejects.toThrow('is immutable');
  await expect(
    owner(`update ledger_holds set state = 'pending', resolved_at = null, resolved_by = null`, ended.id),
  ).rejects.toThrow('is immutable');
  await expect(owner(`delete from ledger_holds`, ended.id)).rejects.toThrow('is immutable');
  await expect(owner(`delete from ledger_accounts`, '1')).rejects.toThrow('is immutable');
});

test('the two functions are all that the application role may call, and others may call none', async () => {
  const rows = await world.db.query<{ name: string; app: boolean; everyone: boolean }>(
    `select proname as name, has_function_privilege('freehold_app', p.oid, 'execute') as app,
            exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) a where a.grantee = 0) as everyone
       from pg_proc p where proname like 'ledger%' order by proname`,
  );
  expect(rows.filter((row) => row.everyone)).toEqual([]);
  expect(rows.filter((row) => row.app).map((row) => row.name)).toEqual(['ledger_apply', 'ledger_open']);
});

test('a function that runs as its owner looks nothing up where a caller could put something in its way', async () => {
  const rows = await world.db.query<{ settings: string[] }>(
    `select proconfig as settings from pg_proc where prosecdef`,
  );
  expect(rows.length).toBeGreaterThan(0);
  for (const { settings } of rows)
    expect(settings).toContainEqual(expect.stringMatching(/^search_path=pg_catalog, public, pg_temp$/));
  // A temporary table of the same name is not what the function sees.
  const outcome = await world.db.transact(async (tx) => {
    await tx.query(`create temporary table ledger_accounts (code text)`);
    return tx.query<{ open: boolean }>(`select ledger_open('shadow:USD', 0) as open`);
  });
  expect(outcome).toEqual([{ open: true }]);
});

describe('past every check in TypeScript, the database itself refuses', () => {
  const legsOf = (from: string, to: string, amounts: [unknown, unknown]): RawLeg[] => [
    { account: from, amount: amounts[0] },
    { account: to, amount: amounts[1] },
  ];
  const malformed = 'malformed';
  const cases: [string, string, (from: Code, to: Code) => Promise<unknown>][] = [
    ['legs that do not sum to zero', 'do not sum to zero', (a, b) => raw(world.db, {}, legsOf(a, b, ['-5', '6']))],
    [
      'legs that sum to zero only across currencies',
      'do not sum to zero',
      (a, b) => raw(world.db, {}, legsOf(a, b.replace(/USD$/, 'TCK'), ['-5', '5'])),
    ],
    ['legs of nothing', malformed, (a, b) => raw(world.db, {}, legsOf(a, b, ['0', '0']))],
    ['a leg without an amount', malformed, (a, b) => raw(world.db, {}, legsOf(a, b, [null, '5']))],
    [
      'a leg beyond every balance',
      malformed,
      (a, b) => raw(world.db, {}, legsOf(a, b, ['-9223372036854775808', '9223372036854775807'])),
    ],
    [
      'a number that is no integer of 64 bits',
      'out of range',
      (a, b) => raw(world.db, {}, legsOf(a, b, ['-99999999999999999999', '99999999999999999999'])),
    ],
    ['a fraction', 'invalid input syntax', (a, b) => raw(world.db, {}, legsOf(a, b, ['-0.5', '0.5']))],
    ['two legs of one account', 'an_account_has_one_leg', (a) => raw(world.db, {}, legsOf(a, a, ['-5', '5']))],
    ['no legs', malformed, () => raw(world.db, { legs: 0 })],
    [
      'more legs than it says',
      malformed,
      (a, b) => raw(world.db, { legs: 2 }, [...legsOf(a, b, ['-5', '5']), { account: b, amount: '7' }]),
    ],
    ['a kind that does not exist', malformed, (a, b) => raw(world.db, { kind: 'gift' }, legsOf(a, b, ['-5', '5']))],
    ['a resolution without a hold', malformed, (a, b) => raw(world.db, { kind: 'post' }, legsOf(a, b, ['-5', '5']))],
    [
      'a transfer that names a hold',
      malformed,
      (a, b) => raw(world.db, { hold_id: newTransferId() }, legsOf(a, b, ['-5', '5'])),
    ],
    [
      'a hold for an account of another currency',
      'of its currency',
      (a, b) => raw(world.db, { kind: 'hold', release_type: 'r' }, legsOf(a, b.replace(/USD$/, 'TCK'), ['-5', '5'])),
    ],
    [
      'a hold for the account itself',
      'of its currency',
      (a) => raw(world.db, { kind: 'hold', release_type: 'r' }, legsOf(a, a, ['-5', '5'])),
    ],
    [
      'a hold of another amount than it is for',
      'of its currency',
      (a, b) => raw(world.db, { kind: 'hold', release_type: 'r' }, legsOf(a, b, ['-5', '7'])),
    ],
    [
      'a hold the wrong way round',
      'of its currency',
      (a, b) => raw(world.db, { kind: 'hold', release_type: 'r' }, legsOf(a, b, ['5', '-5'])),
    ],
    [
      'an account of no known currency',
      'check constraint',
      () => world.db.query(`select ledger_open('wallet:x:EUR', 0)`),
    ],
    ['an account without a kind', 'check constraint', () => world.db.query(`select ledger_open('USD', 0)`)],
  ];
  test.each(cases)('%s', async (_name, message, attempt) => {
    const [from, to] = [await usd(100n), await usd(100n)];
    await expect(attempt(from, to)).rejects.toThrow(message);
    expect(await world.available(from)).toBe(100n);
    expect(await brokenInvariants(world.db)).toEqual([]);
  });

  test('one id or one hold twice in a batch', async () => {
    const [from, to] = [await usd(100n), await usd(100n)];
    const hold = reservation(from, to, 50n);
    await world.ledger.submitHold(systemOp(), hold);
    const twice = (commands: object[]) => world.db.query(`select ledger_apply($1, '[]')`, [JSON.stringify(commands)]);
    const letGo = { ...COMMAND, kind: 'void', legs: 0, hold_id: hold.id };
    await expect(
      twice([
        { ...letGo, id: newTransferId() },
        { ...letGo, id: newTransferId() },
      ]),
    ).rejects.toThrow(malformed);
    await expect(
      twice([
        { ...letGo, id: hold.id },
        { ...letGo, id: hold.id, hold_id: newTransferId() },
      ]),
    ).rejects.toThrow(malformed);
    expect(await brokenInvariants(world.db)).toEqual([]);
  });

  test('the owner writing entries that do not sum to zero', async () => {
    const code = await usd(100n);
    const insert = `insert into ledger_entries select account_id, seq + 1, gen_random_uuid(), null, 5, 5, posted_after + 5, available_after + 5
                      from ledger_entries e join ledger_accounts a on a.id = e.account_id where a.code = $1 order by seq desc limit 1`;
    await expect(world.owner.query(insert, [code])).rejects.toThrow('do not sum to zero');
  });
});

test('there is no hold for another currency, itself, or an account that is not there', async () => {
  const [purse, other] = [await world.account(100n), await world.account()];
  const from = wallet(purse, 'USD');
  const take = (to: Code) => outcomeOf(world.ledger.submitHold(systemOp(), reservation(from, to, 10n)));
  expect(await take(wallet(other, 'TCK'))).toBe('invalid');
  expect(await take(from)).toBe('invalid');
  expect(await take('wallet:nobody:USD' as Code)).toBe('not_found');
  expect(await world.available(from)).toBe(100n);
});

test('an amount beyond every balance is refused, and one that would overflow a balance too', async () => {
  const MAX = 10n ** 18n;
  const rich = await usd();
  const pay = (amount: bigint) => outcomeOf(world.ledger.submit(systemOp(), payment(mint('USD'), rich, amount)));
  expect(await pay(MAX + 1n)).toBe('invalid');
  expect(await pay(2n ** 70n)).toBe('invalid');
  expect(await pay(2n ** 53n + 1n)).toBe('done');
  expect(await world.available(rich)).toBe(2n ** 53n + 1n);
  expect(await pay(MAX)).toBe('invalid');
  expect(await world.available(rich)).toBe(2n ** 53n + 1n);
});

test('a hold is posted before it is due and expires after, never the other way round; without a time it never expires', async () => {
  const now = new Date();
  const due = after(now, SECOND);
  const purse = await usd(100n);
  const take = async (expiresAt?: Date) => {
    const hold = reservation(purse, REVENUE, 10n, expiresAt);
    await world.ledger.submitHold(systemOp(now), hold);
    return (kind: 'post' | 'void' | 'expire', at: Date) =>
      outcomeOf(world.ledger.submitResolution(systemOp(at), hold.id, { kind }));
  };
  const [early, late, voided, forever] = [await take(due), await take(due), await take(due), await take()];
  expect(await early('expire', now)).toBe('conflict');
  expect(await early('post', now)).toBe('done');
  expect(await late('post', due)).toBe('conflict');
  expect(await late('expire', due)).toBe('done');
  expect(await late('expire', due)).toBe('replayed');
  expect(await late('void', due)).toBe('conflict');
  expect(await voided('void', due)).toBe('done');
  expect(await forever('expire', after(due, SECOND))).toBe('conflict');
  expect(await forever('void', now)).toBe('done');
  expect(await world.available(purse)).toBe(90n);
});

test('every hold that is due expires in one sweep, however many there are', async () => {
  const now = new Date();
  const purse = await usd(1_000n);
  const holds = Array.from({ length: 600 }, () => reservation(purse, REVENUE, 1n, after(now, SECOND)));
  await Promise.all(holds.map((hold) => world.ledger.submitHold(systemOp(now), hold)));
  expect(await world.ledger.expireDueHolds(systemOp(now))).toBe(0);
  expect(await world.available(purse)).toBe(400n);
  expect(await world.ledger.expireDueHolds(systemOp(after(now, SECOND)))).toBe(600);
  expect(await world.available(purse)).toBe(1_000n);
});

test('a replay answers what the first time came to, whatever has happened since', async () => {
  const purse = await usd(100n);
  const hold = reservation(purse, REVENUE, 60n);
  const take = () => world.ledger.submitHold(systemOp(), hold);
  const post = () => world.ledger.submitResolution(systemOp(), hold.id, { kind: 'post', amount: 25n as Money });
  expect(await take()).toEqual({ outcome: 'done', posted: 0n, released: 0n });
  expect(await take()).toEqual({ outcome: 'replayed', posted: 0n, released: 0n });
  expect(await post()).toEqual({ outcome: 'done', posted: 25n, released: 35n });
  expect(await take()).toEqual({ outcome: 'replayed', posted: 0n, released: 0n });
  expect(await post()).toEqual({ outcome: 'replayed', posted: 25n, released: 35n });
  expect(await world.available(purse)).toBe(75n);
});

test('opening wallets again is nothing new, and one that is open with another limit is refused', async () => {
  const account = await world.account(10n);
  await world.db.transact((tx) => world.ledger.openWallet(tx, account));
  expect(await world.available(wallet(account, 'USD'))).toBe(10n);
  const other = await world.account();
  const strange = other.replace(/^./, (first) => (first === '0' ? '1' : '0')) as typeof other;
  await world.owner.query(`select ledger_open($1, null)`, [wallet(strange, 'USD')]);
  await expect(world.db.transact((tx) => world.ledger.openWallet(tx, strange))).rejects.toMatchObject({
    code: 'conflict',
  });
});
