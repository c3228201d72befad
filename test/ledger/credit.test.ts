import { expect, test } from 'vitest';
import { REVENUE, wallet } from '../../src/domains/ledger/index.ts';
import { usd } from '../../src/kernel/money.ts';
import { accountOp, systemOp } from '../harness/op.ts';
import { useLedger } from './world.ts';

const world = useLedger();
const adminOp = () => ({ ...systemOp(), actor: { kind: 'admin' as const } });

test.each([0n, -1n])('a gift of %d micro-dollars is refused: nobody takes by giving', async (amount) => {
  const [giver, other] = [await world.account(100n), await world.account(100n)];
  const gift = { to: other, amount: usd(amount), note: undefined };
  await expect(world.ledger.give(accountOp(giver), gift)).rejects.toMatchObject({ code: 'invalid' });
  expect(await world.available(wallet(other, 'USD'))).toBe(100n);
});

test('a gift is for an account, not for a key with scopes to make, and never more than there is', async () => {
  const [giver, other] = [await world.account(100n), await world.account()];
  const gift = (to: string, amount: bigint) => ({ to, amount: usd(amount), note: undefined });
  await expect(world.ledger.give(accountOp(giver, { scopes: ['write'] }), gift(other, 1n))).rejects.toMatchObject({
    code: 'forbidden',
  });
  for (const to of [REVENUE, 'mint:USD', `wallet:${other}:USD`])
    await expect(world.ledger.give(accountOp(giver), gift(to, 1n))).rejects.toMatchObject({ code: 'not_found' });
  await expect(world.ledger.give(accountOp(giver), gift(giver, 1n))).rejects.toMatchObject({ code: 'invalid' });
  await expect(world.ledger.give(accountOp(giver), gift(other, 101n))).rejects.toMatchObject({ code: 'unaffordable' });
  await world.ledger.give(accountOp(giver), gift(other, 100n));
  expect(await world.available(wallet(other, 'USD'))).toBe(100n);
});

test('only the operator makes money for an account or takes it', async () => {
  const accountId = await world.account(100n);
  const adjustment = { accountId, currency: 'USD', amount: usd(5n), description: undefined } as const;
  for (const op of [accountOp(accountId), systemOp()])
    await expect(world.ledger.adjust(op, adjustment)).rejects.toMatchObject({ code: 'forbidden' });
  await world.ledger.adjust(adminOp(), adjustment);
  await world.ledger.adjust(adminOp(), { ...adjustment, amount: usd(-105n) });
  await expect(world.ledger.adjust(adminOp(), { ...adjustment, amount: usd(-1n) })).rejects.toMatchObject({
    code: 'unaffordable',
  });
  expect(await world.available(wallet(accountId, 'USD'))).toBe(0n);
});
