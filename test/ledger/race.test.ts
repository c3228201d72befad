import { expect, test } from 'vitest';
import { REVENUE, wallet } from '../../src/domains/ledger/index.ts';
import { after, SECOND } from '../../src/kernel/time.ts';
import { systemOp } from '../harness/op.ts';
import { brokenInvariants } from './invariants.ts';
import { newTransferId, outcomeOf, payment, reservation, tally, useLedger } from './world.ts';

const DEBITS = 200;
const world = useLedger();

test('200 submitted debits at once on a balance for one: exactly one wins', async () => {
  const purse = wallet(await world.account(100n), 'USD');
  const outcomes = await Promise.all(
    Array.from({ length: DEBITS }, () => outcomeOf(world.ledger.submit(systemOp(), payment(purse, REVENUE, 100n)))),
  );
  expect(tally(outcomes)).toEqual({ done: 1, unaffordable: DEBITS - 1 });
  expect(await world.available(purse)).toBe(0n);
});

test('200 debits at once in transactions of their own on a balance for one: exactly one wins', async () => {
  const { ledger, db } = world;
  const purse = wallet(await world.account(100n), 'USD');
  const debit = () => db.transact(async (tx) => ledger.transfer(tx, systemOp(), payment(purse, REVENUE, 100n)));
  const outcomes = await Promise.all(Array.from({ length: DEBITS }, () => outcomeOf(debit())));
  expect(tally(outcomes)).toEqual({ done: 1, unaffordable: DEBITS - 1 });
  expect(await world.available(purse)).toBe(0n);
});

test('holds and debits, submitted and in transactions, at once on a balance for three: exactly three win', async () => {
  const { ledger, db } = world;
  const purse = wallet(await world.account(300n), 'USD');
  const ways = [
    () => ledger.submit(systemOp(), payment(purse, REVENUE, 100n)),
    () => ledger.submitHold(systemOp(), reservation(purse, REVENUE, 100n)),
    () => db.transact(async (tx) => ledger.transfer(tx, systemOp(), payment(purse, REVENUE, 100n))),
    () => db.transact(async (tx) => ledger.hold(tx, systemOp(), reservation(purse, REVENUE, 100n))),
  ];
  const outcomes = await Promise.all(Array.from({ length: 15 }, () => ways.map((way) => outcomeOf(way()))).flat());
  expect(tally(outcomes)).toEqual({ done: 3, unaffordable: 57 });
  expect(await world.available(purse)).toBe(0n);
});

test('posting, voiding and expiring one hold at once: exactly one wins', async () => {
  const { ledger, db } = world;
  const now = new Date();
  const late = systemOp(after(now, 2 * SECOND));
  for (let round = 0; round < 20; round++) {
    const purse = wallet(await world.account(100n), 'USD');
    const hold = reservation(purse, REVENUE, 100n, after(now, SECOND));
    await ledger.submitHold(systemOp(now), hold);
    const ends = [
      () => ledger.submitResolution(systemOp(now), hold.id, { kind: 'post' }),
      () => ledger.submitResolution(systemOp(now), hold.id, { kind: 'void' }),
      () => ledger.submitResolution(late, hold.id, { kind: 'expire' }),
      () => db.transact(async (tx) => ledger.postHold(tx, systemOp(now), hold.id)),
      () => db.transact(async (tx) => ledger.voidHold(tx, systemOp(now), hold.id)),
    ];
    const first = round % ends.length;
    const inOrder = [...ends.slice(first), ...ends.slice(0, first)];
    const outcomes = tally(await Promise.all(inOrder.map((end) => outcomeOf(end()))));
    const [row] = await db.query<{ state: string }>(`select state from ledger_holds where id = $1`, [hold.id]);
    // Whoever asked for the same end again hears that it was done; the others are refused.
    expect(outcomes).toEqual(
      row?.state === 'expired' ? { done: 1, conflict: 4 } : { done: 1, replayed: 1, conflict: 3 },
    );
    expect(await world.available(purse)).toBe(row?.state === 'posted' ? 0n : 100n);
  }
  expect(await ledger.expireDueHolds(late)).toBe(0);
});

test('one id with the same words from 100 callers at once: done once, replayed for the others', async () => {
  const purse = wallet(await world.account(1_000n), 'USD');
  const said = payment(purse, REVENUE, 10n);
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, () => outcomeOf(world.ledger.submit(systemOp(), said))),
  );
  expect(tally(outcomes)).toEqual({ done: 1, replayed: 99 });
  expect(await world.available(purse)).toBe(990n);
});

test('one id with other words and other accounts at once: one wins and the neighbours do not notice', async () => {
  const { ledger, db } = world;
  for (let round = 0; round < 4; round++) {
    const id = newTransferId();
    const receiver = wallet(await world.account(), 'USD');
    const purses = (await Promise.all(Array.from({ length: 7 }, () => world.account(100n)))).map((owner) =>
      wallet(owner, 'USD'),
    );
    const claims = purses.slice(1).map((from, n) => {
      if (n % 3 === 0) return () => ledger.submit(systemOp(), payment(from, receiver, 1n, id));
      if (n % 3 === 1) return () => ledger.submitHold(systemOp(), { ...reservation(from, receiver, 1n), id });
      return () => db.transact(async (tx) => ledger.hold(tx, systemOp(), { ...reservation(from, REVENUE, 1n), id }));
    });
    const neighbours = purses.map((from) => () => ledger.submit(systemOp(), payment(from, receiver, 1n)));
    const [claimed, beside] = await Promise.all([
      Promise.all(claims.map((claim) => outcomeOf(claim()))),
      Promise.all(neighbours.map((neighbour) => outcomeOf(neighbour()))),
    ]);
    expect(tally(claimed)).toEqual({ done: 1, conflict: 5 });
    expect(tally(beside)).toEqual({ done: 7 });
  }
});

test('after every race the invariants hold', async () => {
  expect(await brokenInvariants(world.db)).toEqual([]);
  const proofs = await world.ledger.reconcile(world.db);
  expect(Object.values(proofs).flatMap((proof) => proof.discrepancies)).toEqual([]);
});
