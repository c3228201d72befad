import { expect, test } from 'vitest';
import type { Topup } from '../../src/domains/payments/index.ts';
import { MAX_WATCHED } from '../../src/domains/payments/topup.ts';
import { DAY, MINUTE } from '../../src/kernel/time.ts';
import { CONFIRMATIONS, paymentsWorld } from './world.ts';

const world = paymentsWorld();
const USDC = 1_000_000n;

test('a payment to an account that never paid is credited until a day after its time; once it has paid, up to thirty', async () => {
  const account = await world.account();
  const [one, two] = [await world.asked(account), await world.asked(account)];
  const pay = async (topup: Topup, units: bigint) => {
    await world.coin.pay(topup.address, units);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    return world.available(account);
  };
  world.clock.advance(2 * DAY - MINUTE);
  expect(await pay(one, 1n)).toBe(1n);
  world.clock.advance(2 * MINUTE);
  await world.node.mine(1);
  await world.look();
  const later = await world.asked(account);
  // Beyond the blocks that are read again.
  await world.node.mine(300);
  expect(await pay(one, USDC)).toBe(1n);
  await world.node.mine(300);
  await world.look();
  expect(await pay(later, USDC)).toBe(USDC + 1n);
  world.clock.advance(28 * DAY);
  expect(await pay(two, USDC)).toBe(2n * USDC + 1n);
});

test('a payment that came in time is credited however long nobody could look', async () => {
  const account = await world.account();
  const topup = await world.asked(account);
  await world.coin.pay(topup.address, USDC);
  await world.node.mine(CONFIRMATIONS);
  world.clock.advance(9 * DAY);
  await world.asked(await world.account());
  await world.look();
  expect(await world.available(account)).toBe(USDC);
});

test('a top-up is refused beyond two that wait to an account that has brought in less than a dollar', async () => {
  const account = await world.account();
  const topups = [await world.asked(account), await world.asked(account)];
  await expect(world.asked(account)).rejects.toMatchObject({ code: 'conflict' });
  const pay = async (units: bigint) => {
    await world.coin.pay(topups[0]!.address, units);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
  };
  await pay(USDC - 1n);
  topups.push(await world.asked(account));
  await expect(world.asked(account)).rejects.toMatchObject({ code: 'conflict' });
  await pay(1n);
  await world.asked(account);
});

test('a top-up is refused while very many addresses are watched, to accounts that have never paid', async () => {
  const [stranger, payer] = [await world.account(), await world.payer()];
  await world.asked(stranger);
  await world.database.db.query(
    `insert into topups (id, account_id, token, address_index, address, amount, created_at, expires_at)
     select gen_random_uuid(), gen_random_uuid(), token, 1000 + number, '0x' || lpad(to_hex(number), 40, '0'), 1, created_at, expires_at
       from topups, generate_series(1, $1) number`,
    [MAX_WATCHED - 1],
  );
  await expect(world.asked(stranger)).rejects.toMatchObject({ code: 'at_capacity', retryAfterSeconds: 3600 });
  const topup = await world.asked(payer);
  await world.coin.pay(topup.address, USDC);
  await world.node.mine(CONFIRMATIONS);
  await world.look();
  expect(await world.available(payer)).toBe(USDC);
  world.clock.advance(2 * DAY);
  await world.node.mine(1);
  await world.look();
  await world.asked(stranger);
});
