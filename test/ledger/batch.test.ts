import { expect, test } from 'vitest';
import { REVENUE, wallet, type Code } from '../../src/domains/ledger/index.ts';
import type { TransferId } from '../../src/kernel/ids.ts';
import type { Money } from '../../src/kernel/money.ts';
import { systemOp } from '../harness/op.ts';
import { brokenInvariants } from './invariants.ts';
import { newTransferId, outcomeOf, payment, reservation, tally, useLedger } from './world.ts';

const world = useLedger();

/** Transfers that the database committed together have its transaction's id in common. */
const commitsOf = async (ids: string[]): Promise<number> => {
  const rows = await world.owner.query(`select distinct xmin::text from ledger_transfers where id = any ($1)`, [ids]);
  return rows.length;
};

test('what arrives together is committed together, and each command has its own outcome', async () => {
  const { ledger } = world;
  const [rich, poor] = [wallet(await world.account(1_000n), 'USD'), wallet(await world.account(5n), 'USD')];
  const [earlier, held] = [payment(rich, REVENUE, 1n), reservation(rich, REVENUE, 100n)];
  await ledger.submit(systemOp(), earlier);
  await ledger.submitHold(systemOp(), held);
  const good = Array.from({ length: 50 }, () => payment(rich, poor, 1n));
  const submit = (transfer: ReturnType<typeof payment>) => ledger.submit(systemOp(), transfer);
  const outcomes = await Promise.all(
    [
      ...good.slice(0, 25).map(submit),
      submit(payment(poor, REVENUE, 1_000n)),
      submit(earlier),
      submit({ ...earlier, description: 'Something else' }),
      submit(payment(rich, 'wallet:nobody:USD' as Code, 1n)),
      submit(payment(rich, rich, 1n)),
      ledger.submitResolution(systemOp(), held.id, { kind: 'post', amount: 101n as Money }),
      ledger.submitResolution(systemOp(), newTransferId(), { kind: 'void' }),
      ...good.slice(25).map(submit),
    ].map(outcomeOf),
  );
  expect(tally(outcomes)).toEqual({ done: 50, unaffordable: 1, replayed: 1, conflict: 2, not_found: 2, invalid: 1 });
  expect(await commitsOf(good.map(({ id }) => id))).toBe(1);
  expect(await world.available(rich)).toBe(1_000n - 1n - 100n - 50n);
});

test('a batch is a sequence: what an earlier command brings, a later one may spend', async () => {
  const { ledger } = world;
  const [first, second, third] = [
    wallet(await world.account(10n), 'USD'),
    wallet(await world.account(), 'USD'),
    REVENUE,
  ];
  const steps = [payment(first, second, 10n), payment(second, third, 10n), payment(second, third, 1n)];
  const outcomes = await Promise.all(steps.map((step) => outcomeOf(ledger.submit(systemOp(), step))));
  expect(outcomes).toEqual(['done', 'done', 'unaffordable']);
});

test('text that the database cannot keep is refused, and the neighbours are done', async () => {
  const { ledger } = world;
  const purse = wallet(await world.account(1_000n), 'USD');
  const poisons = [
    { description: 'a\0b' },
    { description: '\ud800' },
    { type: 'a\0b' },
    { metadata: { deep: { er: ['\0'] } } },
    { metadata: { '\0': 1 } },
    { description: 'x'.repeat(100_000) },
    { metadata: { long: 'x'.repeat(100_000) } },
    { id: 'not-a-uuid' as TransferId },
    { id: newTransferId().toUpperCase() as TransferId },
  ];
  const bad = poisons.map((poison) =>
    outcomeOf(ledger.submit(systemOp(), { ...payment(purse, REVENUE, 1n), ...poison })),
  );
  const good = Array.from({ length: 20 }, () => outcomeOf(ledger.submit(systemOp(), payment(purse, REVENUE, 1n))));
  expect(tally(await Promise.all(bad))).toEqual({ invalid: poisons.length });
  expect(tally(await Promise.all(good))).toEqual({ done: 20 });
});

test('a command that the database refuses fails alone', async () => {
  const { ledger } = world;
  const purse = wallet(await world.account(1_000n), 'USD');
  // No time: nothing that a caller of ours sends, but the database has the last word.
  const broken = () => ledger.submit(systemOp(new Date(Number.NaN)), payment(purse, REVENUE, 1n));
  const fine = () => ledger.submit(systemOp(), payment(purse, REVENUE, 1n));
  const settled = await Promise.allSettled(Array.from({ length: 60 }, (_, n) => (n % 25 === 7 ? broken() : fine())));
  expect(tally(settled.map(({ status }) => status))).toEqual({ fulfilled: 57, rejected: 3 });
  expect(await world.available(purse)).toBe(1_000n - 57n);
  expect(await brokenInvariants(world.db)).toEqual([]);
});

test('money moved in a transaction that is rolled back has not moved', async () => {
  const { ledger, db } = world;
  const purse = wallet(await world.account(100n), 'USD');
  const said = payment(purse, REVENUE, 10n);
  const abandoned = db.transact(async (tx) => {
    await ledger.transfer(tx, systemOp(), said);
    await ledger.hold(tx, systemOp(), reservation(purse, REVENUE, 10n));
    throw new Error('changed my mind');
  });
  await expect(abandoned).rejects.toThrow('changed my mind');
  expect(await world.available(purse)).toBe(100n);
  expect(await ledger.submit(systemOp(), said)).toMatchObject({ outcome: 'done' });
});
