import { expect, test } from 'vitest';
import { mint, wallet } from '../../src/domains/ledger/index.ts';
import { stateOf } from '../../src/domains/payments/index.ts';
import { uuidv7, type AccountId, type TransferId } from '../../src/kernel/ids.ts';
import { usd } from '../../src/kernel/money.ts';
import { DAY } from '../../src/kernel/time.ts';
import { CONFIRMATIONS, paymentsWorld } from './world.ts';

const world = paymentsWorld();
const USDC = 1_000_000n;
/** As much as the ledger keeps of a currency. */
const MOST = 10n ** 18n;

/** Gives an account money, or takes it. */
const give = (accountId: AccountId, amount: bigint) =>
  world.ledger.submit(world.system(), {
    id: uuidv7(new Date()) as TransferId,
    type: 'deposit',
    description: 'Credit',
    legs: [
      { account: mint('USD'), amount: usd(-amount) },
      { account: wallet(accountId, 'USD'), amount: usd(amount) },
    ],
  });

async function settled(): Promise<void> {
  await world.node.mine(CONFIRMATIONS);
  await world.look();
}

test('a payment that the ledger has no room for is kept for the operator, and later ones of the coin are credited', async () => {
  const [rich, bob] = [await world.account(), await world.account()];
  await give(rich, MOST - 2n * USDC);
  const [large, small] = [await world.asked(rich), await world.asked(bob)];
  const txHash = await world.coin.pay(large.address, 5n * USDC);
  await settled();
  await world.coin.pay(small.address, USDC);
  await settled();
  expect(await world.available(bob)).toBe(USDC);
  expect(await world.available(rich)).toBe(MOST - 2n * USDC);
  expect(await world.payments.listAside()).toMatchObject([
    { topupId: large.id, accountId: rich, txHash, symbol: 'USDC', units: 5n * USDC, amount: 5n * USDC },
  ]);
  // Blocks are read several times; it is told once.
  expect(await world.facts(large.id)).toEqual(['topup.requested', 'topup.set_aside']);
  expect(world.logged.join('').match(/is set aside/g)).toHaveLength(1);
  expect(await world.again(large)).toMatchObject({ received: 0n, confirming: true });
  expect((await world.ledger.reconcile(world.database.db)).USD.valid).toBe(true);
});

test('a payment that was set aside is credited once there is room and the chain is read for it once more', async () => {
  const rich = await world.payer();
  await give(rich, MOST - 2n * USDC);
  const topup = await world.asked(rich);
  await world.coin.pay(topup.address, 5n * USDC);
  await settled();
  await world.node.mine(300);
  await world.look();
  const rescan = async () => {
    await world.payments.rescan(world.system(), { topupId: topup.id });
    await world.look();
  };
  await rescan();
  expect(await world.payments.listAside()).toHaveLength(1);
  await give(rich, -10n * USDC);
  await rescan();
  await rescan();
  expect(await world.payments.listAside()).toEqual([]);
  expect(stateOf(await world.again(topup), world.clock.now())).toBe('paid');
  expect(await world.available(rich)).toBe(MOST - 7n * USDC);
  expect(await world.facts(topup.id)).toEqual([
    'topup.requested',
    'topup.set_aside',
    'topups.rescanned',
    'topups.rescanned',
    'topup.credited',
    'topups.rescanned',
  ]);
});

test('a payment too large to be true is kept too, however large it is, and never credited', async () => {
  const account = await world.account();
  const topup = await world.asked(account);
  await world.coin.pay(topup.address, 10n ** 29n);
  await settled();
  await world.payments.rescan(world.system(), { topupId: topup.id });
  await world.look();
  expect(await world.payments.listAside()).toMatchObject([{ topupId: topup.id, amount: 10n ** 29n }]);
  expect(await world.available(account)).toBe(0n);
});

test('an address with a payment that was set aside rests like all others', async () => {
  const topup = await world.asked(await world.account());
  await world.coin.pay(topup.address, 10n ** 20n);
  await settled();
  world.clock.advance(3 * DAY);
  await settled();
  await settled();
  const [row] = await world.database.db.query<{ rests: boolean }>(
    `select rests_from is not null as rests from topups where id = $1`,
    [topup.id],
  );
  expect(row?.rests).toBe(true);
});
