import { expect, test } from 'vitest';
import type { Topup } from '../../src/domains/payments/index.ts';
import { MAX_WATCHED_STRANGERS } from '../../src/domains/payments/topup.ts';
import { DAY, MINUTE } from '../../src/kernel/time.ts';
import { refusal } from './between.ts';
import { CONFIRMATIONS, paymentsWorld } from './world.ts';

const world = paymentsWorld();
const USDC = 1_000_000n;
/** Beyond the blocks that each look reads once more. */
const MANY_BLOCKS = 300;

/** Answers what the account has after it. */
async function pay(topup: Topup, units: bigint): Promise<bigint> {
  await world.coin.pay(topup.address, units);
  await world.node.mine(CONFIRMATIONS);
  await world.look();
  return world.available(topup.accountId);
}

test('a payment to an account that never paid comes by itself until a day after its time; once it has paid, up to thirty', async () => {
  const account = await world.account();
  const [one, two] = [await world.asked(account), await world.asked(account)];
  world.clock.advance(2 * DAY - MINUTE);
  expect(await pay(one, 1n)).toBe(1n);
  world.clock.advance(2 * MINUTE);
  await world.node.mine(1);
  await world.look();
  const later = await world.asked(account);
  await world.node.mine(MANY_BLOCKS);
  expect(await pay(one, USDC)).toBe(1n);
  await world.node.mine(MANY_BLOCKS);
  await world.look();
  // With this dollar it has paid, and what one was sent meanwhile is read.
  expect(await pay(later, USDC)).toBe(2n * USDC + 1n);
  world.clock.advance(28 * DAY);
  expect(await pay(two, USDC)).toBe(3n * USDC + 1n);
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
  await pay(topups[0]!, USDC - 1n);
  topups.push(await world.asked(account));
  await expect(world.asked(account)).rejects.toMatchObject({ code: 'conflict' });
  await pay(topups[0]!, 1n);
  await world.asked(account);
});

/** As many that nobody pays as are watched at a time, asked for at this moment. */
const crowd = () =>
  world.database.db.query(
    `insert into topups (id, account_id, token, address_index, address, amount, created_at, expires_at, asked_at, first_block)
     select gen_random_uuid(), gen_random_uuid(), token, 1000 + number, '0x' || lpad(to_hex(number), 40, '0'), 1, $2,
            $2::timestamptz + interval '1 day', $2, first_block
       from (select * from topups limit 1) one, generate_series(1, $1) number`,
    [MAX_WATCHED_STRANGERS, world.clock.now()],
  );

test('however many strangers ask for addresses, a newcomer has one and its payment is credited', async () => {
  const payer = await world.payer();
  const kept = await world.asked(payer);
  await crowd();
  world.clock.advance(MINUTE);
  const newcomer = await world.account();
  expect(await pay(await world.asked(newcomer), USDC)).toBe(USDC);
  const watched = await world.database.db.query(`select from topups where rests_from is null`);
  // The newcomer, who has paid by now, in the place of one of the crowd, and who had paid before.
  expect(watched).toHaveLength(MAX_WATCHED_STRANGERS + 1);
  expect(await pay(kept, USDC)).toBe(USDC);
});

test('whose address strangers have pushed aside is credited what came meanwhile as soon as the top-up is asked for', async () => {
  const account = await world.account();
  const topup = await world.asked(account);
  world.clock.advance(MINUTE);
  await crowd();
  await world.node.mine(1);
  await world.look();
  expect(await pay(topup, USDC)).toBe(0n);
  await world.node.mine(MANY_BLOCKS);
  await world.look();
  expect(await world.available(account)).toBe(0n);
  await world.again(topup);
  await world.look();
  expect(await world.again(topup)).toMatchObject({ received: USDC });
  expect(await pay(topup, USDC)).toBe(2n * USDC);
  expect((await world.ledger.reconcile(world.database.db)).USD.valid).toBe(true);
});

test('what came to an address after its time is credited when its owner asks within thirty days, later when the operator does', async () => {
  const account = await world.account();
  const [one, two] = [await world.asked(account), await world.asked(account)];
  await rested();
  expect(await pay(one, 3n)).toBe(0n);
  world.clock.advance(20 * DAY);
  await world.again(one);
  await world.look();
  expect(await world.available(account)).toBe(3n);
  await rested();
  expect(await pay(two, 4n)).toBe(3n);
  world.clock.advance(20 * DAY);
  await world.again(two);
  await world.look();
  expect(await world.available(account)).toBe(3n);
  expect(await world.payments.rescan(world.system(), { topupId: two.id })).toBe(1);
  await world.look();
  expect(await world.available(account)).toBe(7n);
  expect(await world.facts(two.id)).toEqual(['topup.requested', 'topups.rescanned', 'topup.credited']);
  // Once more, for everybody: nothing is credited twice, and nobody's payment waits.
  await world.asked(await world.account());
  expect(await world.payments.rescan(world.system(), {})).toBe(3);
  expect(await pay(await world.asked(account), 5n)).toBe(12n);
  const unread = await world.database.db.query(`select from topups where wish is not null or unread_from is not null`);
  expect(unread).toEqual([]);
  for (const wish of [{ topupId: 'x' }, { accountId: two.id }])
    await expect(world.payments.rescan(world.system(), wish)).rejects.toMatchObject({ code: 'not_found' });
});

test('a look that began before an address was watched again does not read past what was paid to it', async () => {
  const [account, other] = [await world.account(), await world.account()];
  const topup = await world.asked(account);
  await rested();
  await world.asked(other);
  await world.look();
  await world.coin.pay(topup.address, USDC);
  await world.node.mine(MANY_BLOCKS);
  const slow = world.over();
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>();
  const { promise: free, resolve: goOn } = Promise.withResolvers<void>();
  world.between.before = async ({ method }) => {
    if (method !== 'eth_getLogs') return;
    world.between.before = undefined;
    isAsked();
    await free;
  };
  const slowLook = slow.watch(world.system());
  await asked;
  // It is watched again, and whoever saw to that fails before it has read anything.
  await world.again(topup);
  world.between.trick = (question) => (question.method === 'eth_getLogs' ? refusal(question, 'busy') : undefined);
  await world.payments.watch(world.system());
  world.between.trick = undefined;
  goOn();
  await slowLook;
  await world.node.mine(MANY_BLOCKS);
  await world.look(slow);
  expect(await world.available(account)).toBe(USDC);
});

/** Lets time go by in which nobody asks for anything, so that no address is watched any more. */
async function rested(): Promise<void> {
  world.clock.advance(3 * DAY);
  for (let looks = 0; looks < 2; looks++) {
    await world.node.mine(1);
    await world.look();
  }
  expect(await world.database.db.query(`select from topups where rests_from is null`)).toEqual([]);
}
