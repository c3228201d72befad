import { expect, test } from 'vitest';
import { DAY } from '../../src/kernel/time.ts';
import { CONFIRMATIONS, paymentsWorld } from './world.ts';

const world = paymentsWorld();
const USDC = 1_000_000n;

/** An address that was given out for a coin, and the coin that the operator sets instead of it. */
async function exchanged() {
  const account = await world.account();
  const topup = await world.asked(account);
  await world.look();
  return { account, topup, next: await world.node.coin('EURC') };
}

test('after another coin was set, payments with the one before are credited to addresses that were given out for it', async () => {
  const { account, topup, next } = await exchanged();
  await world.coin.pay(topup.address, 3n * USDC);
  world.payments = world.over({ token: next.address });
  await world.payments.tellUnread();
  const newer = await world.payments.request(world.op(account), { amountUsd: '5', coin: 'EURC' });
  await next.pay(newer.address, 5n * USDC);
  // Each with the other's coin: that is worth nothing.
  await next.pay(topup.address, 100n * USDC);
  await world.coin.pay(newer.address, 100n * USDC);
  await world.node.mine(CONFIRMATIONS);
  await world.look();
  expect(await world.available(account)).toBe(8n * USDC);
  expect(world.logged.join('')).not.toContain('not looked for');
});

test('an address for a coin before is watched again when it is asked for', async () => {
  const { account, topup, next } = await exchanged();
  world.payments = world.over({ token: next.address });
  for (let days = 0; days < 2; days++) {
    world.clock.advance(3 * DAY);
    await world.node.mine(1);
    await world.look();
  }
  await world.coin.pay(topup.address, 3n * USDC);
  await world.node.mine(CONFIRMATIONS);
  await world.look();
  expect(await world.available(account)).toBe(0n);
  await world.again(topup);
  await world.look();
  expect(await world.available(account)).toBe(3n * USDC);
});

test('where the settings say so, or payments are taken no more, a coin before is not credited, and the log says it at the start', async () => {
  const { account, topup, next } = await exchanged();
  await world.coin.pay(topup.address, 3n * USDC);
  await world.node.mine(CONFIRMATIONS);
  for (const given of [{ token: next.address, formerCoins: 'ignored' }, { off: true }] as const) {
    world.logged.length = 0;
    world.payments = world.over(given);
    await world.payments.tellUnread();
    await world.look();
    expect(world.logged.join('')).toContain('not looked for and not credited, as the settings have it');
    expect(await world.available(account)).toBe(0n);
  }
  world.payments = world.over();
  await world.look();
  expect(await world.available(account)).toBe(3n * USDC);
});

test('a coin before that is of another chain is told of once, and hinders no payment with the one that is set', async () => {
  const { account, next } = await exchanged();
  await world.database.db.query(`update topup_coins set chain_id = 5`);
  world.payments = world.over({ token: next.address });
  const newer = await world.payments.request(world.op(account), { amountUsd: '5', coin: 'EURC' });
  await next.pay(newer.address, 5n * USDC);
  for (let looks = 0; looks < 2; looks++) {
    await world.node.mine(CONFIRMATIONS);
    await world.look();
  }
  expect(await world.available(account)).toBe(5n * USDC);
  const told = world.logged.filter((line) => line.includes('it is of another chain'));
  expect(told).toHaveLength(1);
});
