import { expect, test } from 'vitest';
import { wallet } from '../../src/domains/ledger/index.ts';
import { HOUR } from '../../src/kernel/time.ts';
import { recordFact } from '../../src/platform/outbox.ts';
import { serversWorld } from './world.ts';

const world = serversWorld();
const HOURLY = 13_700n;

test('a fact that cannot be taken keeps no server from being billed, and no fact behind it from being taken', async () => {
  const owner = await world.account(10n * HOURLY);
  const [lost, kept] = [await world.active(owner), await world.active(owner)];
  const { db } = world.database;
  // Of nobody's account, which cannot be.
  await db.transact((tx) => recordFact(tx, world.system(), { type: 'account.held', subject: 'nobody', data: {} }));
  await world.machines.destroy(world.system(), lost.machineId);
  world.clock.advance(HOUR);
  await world.sweep();
  expect(await world.again(kept)).toMatchObject({ state: 'active', meter: { periods: 2 } });
  for (let looks = 0; looks < 100 && (await world.again(lost)).state !== 'error'; looks++) await world.sweep();
  expect(await world.again(lost)).toMatchObject({ state: 'error' });
});

test('an account whose servers cannot be switched on again, or off, keeps no other waiting', async () => {
  const [bad, good] = [await world.account(HOURLY), await world.account(HOURLY)];
  const [theirs, ours] = [await world.active(bad), await world.active(good)];
  world.clock.advance(HOUR);
  await world.sweep();
  for (const account of [bad, good]) await world.pay(account, 5n * HOURLY);
  const { ledger } = world;
  const purse = wallet(bad, 'USD');
  const isBad = (transfer: { legs: readonly { account: string }[] }) =>
    transfer.legs.some(({ account }) => account === purse);
  const failing = world.over({
    ledger: {
      transferAll: async (tx, op, transfers) => {
        if (transfers.some(isBad)) throw new Error('not now');
        return ledger.transferAll(tx, op, transfers);
      },
    },
  });
  world.compute = failing;
  await world.sweep();
  expect(await world.again(theirs)).toMatchObject({ state: 'suspended' });
  expect(await world.again(ours)).toMatchObject({ state: 'active' });

  world.compute = world.over({});
  await world.sweep();
  expect(await world.again(theirs)).toMatchObject({ state: 'active' });
  world.clock.advance(HOUR + 1);
  await world.database.db.query(`insert into server_holds (account_id) values ($1), ($2)`, [bad, good]);
  world.compute = failing;
  await world.sweep();
  expect(await world.again(theirs)).toMatchObject({ state: 'active' });
  expect(await world.again(ours)).toMatchObject({ state: 'suspended' });
});

test('a server whose owner spends elsewhere at the same moment pays what is there, and its end or its rest does not fail for it', async () => {
  const owner = await world.account(3n * HOURLY);
  const [ending, resting] = [await world.active(owner), await world.active(owner)];
  world.clock.advance(4 * HOUR);
  const { ledger } = world;
  const purse = wallet(owner, 'USD');
  // Whoever has looked at the wallet finds one hour less when it comes to paying.
  const late = {
    balance: async (...given: Parameters<typeof ledger.balance>) => {
      const { available, ...balance } = await ledger.balance(...given);
      return { ...balance, available: given[1] === purse ? available + HOURLY : available };
    },
  } as Partial<typeof ledger>;
  const compute = world.over({ ledger: late });
  await compute.destroy(world.op(owner), 'hourly', ending.id);
  expect(await world.available(owner)).toBe(0n);
  world.compute = compute;
  await world.sweep();
  expect(await world.again(resting)).toMatchObject({ state: 'suspended', meter: { periods: 1 } });
  expect((await ledger.reconcile(world.database.db)).USD.valid).toBe(true);
});
