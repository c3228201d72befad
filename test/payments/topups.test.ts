import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { getAddress } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';
import { describe, expect, test } from 'vitest';
import { stateOf, type Topup } from '../../src/domains/payments/index.ts';
import { DAY, MINUTE } from '../../src/kernel/time.ts';
import { CONFIRMATIONS, paymentsWorld } from './world.ts';

const world = paymentsWorld();
const USDC = 1_000_000n;
const state = async (topup: Topup) => stateOf(await world.again(topup), world.clock.now());

describe('a payment', () => {
  test('is confirming when it is on the chain, and paid once so many blocks stand on it', async () => {
    const account = await world.account();
    const topup = await world.asked(account);
    expect(await state(topup)).toBe('pending');
    await world.coin.pay(topup.address, 25n * USDC);
    await world.look();
    expect(await state(topup)).toBe('confirming');
    expect(await world.again(topup)).toMatchObject({ received: 0n, confirmations: 1 });
    await world.node.mine(CONFIRMATIONS - 2);
    await world.look();
    expect(await state(topup)).toBe('confirming');
    expect(await world.available(account)).toBe(0n);
    await world.node.mine(1);
    await world.look();
    expect(await world.again(topup)).toMatchObject({ received: 25_000_000n, confirming: false, confirmations: 3 });
    expect(await state(topup)).toBe('paid');
    expect(await world.available(account)).toBe(25_000_000n);
    expect(await world.facts(topup.id)).toEqual(['topup.requested', 'topup.credited']);
    await world.node.mine(5);
    expect(await world.look()).toBe(0);
    expect(await world.available(account)).toBe(25_000_000n);
  });

  test('is credited as it comes: less, more, in parts, several in one transaction', async () => {
    const [ada, bob] = [await world.account(), await world.account()];
    const [one, two, three] = [await world.asked(ada), await world.asked(ada), await world.asked(bob)];
    await world.coin.pay(one.address, 1_234_567n);
    await world.coin.pay(one.address, 40n * USDC);
    await world.coin.payMany([two.address, three.address, two.address], [1n, 2n * USDC, 3n * USDC]);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    const received = await Promise.all([one, two, three].map(async (topup) => (await world.again(topup)).received));
    expect(received).toEqual([41_234_567n, 3_000_001n, 2_000_000n]);
    expect(await world.available(ada)).toBe(44_234_568n);
    expect(await world.available(bob)).toBe(2_000_000n);
  });

  test('of a coin with 18 decimals is worth its whole micro-dollars', async () => {
    const coin = await world.node.coin('DAI', 18);
    world.payments = world.over({ token: coin.address });
    const account = await world.account();
    const topup = await world.payments.request(world.op(account), { amountUsd: 5, coin: 'dai' });
    await coin.pay(topup.address, 4_999_999_999_999_999_999n);
    await coin.pay(topup.address, 999_999_999_999n);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    expect(await world.available(account)).toBe(4_999_999n);
  });

  test('that comes late is credited, and one that comes after the address is no longer watched is not', async () => {
    const account = await world.payer();
    const topup = await world.asked(account);
    world.clock.advance(DAY);
    expect(await state(topup)).toBe('expired');
    world.clock.advance(29 * DAY);
    await world.coin.pay(topup.address, 7n * USDC);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    expect(await state(topup)).toBe('paid');
    expect(await world.available(account)).toBe(7n * USDC);
    world.clock.advance(2 * DAY);
    await world.node.mine(1);
    await world.look();
    await world.coin.pay(topup.address, USDC);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    expect(await world.available(account)).toBe(7n * USDC);
  });

  test('that is on the chain while its address is watched is credited, also where it settles after that', async () => {
    const account = await world.payer();
    const topup = await world.asked(account);
    world.clock.advance(31 * DAY - MINUTE);
    await world.coin.pay(topup.address, 7n * USDC);
    await world.look();
    expect(await state(topup)).toBe('confirming');
    world.clock.advance(2 * MINUTE);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    expect(await state(topup)).toBe('paid');
    expect(await world.available(account)).toBe(7n * USDC);
  });

  test('of nothing, which anybody can make in any name, is none', async () => {
    const topup = await world.asked(await world.account());
    await world.coin.pay(topup.address, 0n);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    expect(await state(topup)).toBe('pending');
    expect(await world.facts(topup.id)).toEqual(['topup.requested']);
  });

  test('of another coin to the same address is nothing', async () => {
    const account = await world.account();
    const topup = await world.asked(account);
    await (await world.node.coin('FAKE')).pay(topup.address, 100n * USDC);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    expect(await state(topup)).toBe('pending');
  });

  test('too large to be true is not credited, and hinders no other', async () => {
    const account = await world.account();
    const topup = await world.asked(account);
    await world.coin.pay(topup.address, 10n ** 20n);
    await world.coin.pay(topup.address, USDC);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    expect(await world.available(account)).toBe(USDC);
    expect(world.logged.join('')).toContain('too large to be true');
  });
});

describe('a chain that is rewritten', () => {
  test('takes back what was confirming, and its payment counts once when it is there again', async () => {
    const account = await world.account();
    const topup = await world.asked(account);
    const before = await world.node.client.snapshot();
    await world.coin.pay(topup.address, 25n * USDC);
    await world.look();
    expect(await state(topup)).toBe('confirming');
    await world.node.client.revert({ id: before });
    await world.node.mine(2);
    await world.look();
    expect(await state(topup)).toBe('pending');
    await world.coin.pay(topup.address, 24n * USDC);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    expect(await world.again(topup)).toMatchObject({ received: 24n * USDC, confirming: false });
    expect(await world.available(account)).toBe(24n * USDC);
  });

  test('deeper than we wait: what was credited is not credited again, what is new is, and it is said loudly', async () => {
    const [ada, bob] = [await world.account(), await world.account()];
    const [one, two] = [await world.asked(ada), await world.asked(bob)];
    await world.node.mine(5);
    const before = await world.node.client.snapshot();
    const sent = await world.coin.pay(one.address, 25n * USDC);
    const raw = await world.node.client.request({
      method: 'eth_getRawTransactionByHash' as never,
      params: [sent] as never,
    });
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    expect(await world.available(ada)).toBe(25n * USDC);
    await world.node.client.revert({ id: before });
    // The same transaction once more, in a later block and behind another, so that its log has another number.
    await world.node.mine(1);
    await world.node.client.setAutomine(false);
    await world.coin.payAhead(two.address, 5n * USDC);
    await world.node.client.sendRawTransaction({ serializedTransaction: raw });
    await world.node.mine(1);
    await world.node.client.setAutomine(true);
    const { logs } = await world.node.client.getTransactionReceipt({ hash: sent });
    expect(logs.map(({ logIndex }) => logIndex)).toEqual([1]);
    await world.node.mine(CONFIRMATIONS + 1);
    await world.look();
    expect(await world.again(one)).toMatchObject({ received: 25n * USDC, confirming: false });
    expect(await world.available(ada)).toBe(25n * USDC);
    expect(await world.available(bob)).toBe(5n * USDC);
    expect(world.logged.join('')).toContain('rewritten deeper than FREEHOLD_EVM_CONFIRMATIONS');
  });
});

describe('whoever looks', () => {
  test('two at once, and one after the other: a payment is credited once', async () => {
    const account = await world.payer();
    const topups = [await world.asked(account), await world.asked(account), await world.asked(account)];
    const others = [world.payments, world.over(), world.over(), world.over()];
    for (const topup of topups) {
      await world.coin.pay(topup.address, 3n * USDC);
      await world.node.mine(CONFIRMATIONS - 1);
      await Promise.all(others.map((payments) => world.look(payments)));
    }
    expect(await world.available(account)).toBe(9n * USDC);
    expect(await world.look(world.over())).toBe(0);
    expect(await world.available(account)).toBe(9n * USDC);
    expect((await world.ledger.reconcile(world.database.db)).USD.valid).toBe(true);
  });

  test('one that dies in the middle of the credit leaves nothing half-done', async () => {
    const account = await world.account();
    const topup = await world.asked(account);
    await world.coin.payMany([topup.address, topup.address], [USDC, 2n * USDC]);
    await world.node.mine(CONFIRMATIONS);
    let transfers = 0;
    const dying = world.over({
      ledger: {
        transfer: async (...given) => {
          if (++transfers === 2) throw new Error('killed');
          return world.ledger.transfer(...given);
        },
      },
    });
    await expect(world.look(dying)).rejects.toThrow('killed');
    expect(await world.available(account)).toBe(0n);
    expect(await state(topup)).toBe('pending');
    await world.look(world.over());
    expect(await world.available(account)).toBe(3n * USDC);
  });

  test('one that comes back after thousands of blocks finds what was paid meanwhile', async () => {
    const account = await world.account();
    const topup = await world.asked(account);
    await world.node.mine(1_200);
    await world.coin.pay(topup.address, USDC);
    await world.node.mine(1_200);
    await world.look(world.over());
    expect(await world.available(account)).toBe(USDC);
  });

  test('asks the chain for nothing while nobody has an address, and little while nothing is new', async () => {
    world.between.asked.length = 0;
    await world.look();
    expect(world.between.asked).toEqual([]);
    await world.asked(await world.account());
    await world.look();
    world.between.asked.length = 0;
    await world.look();
    expect(world.between.asked).toEqual(['eth_chainId', 'eth_getBlockByNumber']);
  });
});

describe('asking for a top-up', () => {
  test('gives each an address of its own, which any wallet finds from the exported words', async () => {
    const account = await world.account();
    const topups = [await world.asked(account), await world.asked(account)];
    expect(new Set(topups.map(({ address }) => address)).size).toBe(2);
    await world.coin.pay(topups[1]!.address, 2n * USDC);
    await world.node.mine(CONFIRMATIONS);
    await world.look();
    const { file, paidAddresses } = await world.payments.exportWallet(world.system());
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(paidAddresses).toBe(1);
    const text = await readFile(file, 'utf8');
    const words = /^words: (.+)$/m.exec(text)?.[1] ?? '';
    expect(words.split(' ')).toHaveLength(24);
    for (const { address, addressIndex } of topups)
      expect(mnemonicToAccount(words, { addressIndex }).address).toBe(address);
    expect(text).toContain(
      `${topups[1]!.addressIndex} ${topups[1]!.address} 31337 ${getAddress(world.coin.address)} 2.000000`,
    );
    const rows = await world.database.db.query<{ sealed: Buffer }>(`select sealed from kept_secrets`);
    expect(rows).toHaveLength(1);
    for (const kept of [rows[0]!.sealed.toString('latin1'), world.logged.join('')])
      expect(words.split(' ').filter((word) => word.length > 6 && kept.includes(word))).toEqual([]);
  });

  test('whose wallet cannot be written where it belongs leaves its words nowhere else', async () => {
    await world.asked(await world.account());
    await mkdir(join(world.dir, 'topup-wallet.txt'));
    await expect(world.payments.exportWallet(world.system())).rejects.toThrow();
    expect(await readdir(world.dir)).toEqual(['topup-wallet.txt']);
  });

  test('by two processes at the same time makes one wallet', async () => {
    const account = await world.account();
    const wish = { amountUsd: '5', coin: 'USDC' };
    const made = await Promise.all([world.payments, world.over()].map((one) => one.request(world.op(account), wish)));
    const { file } = await world.payments.exportWallet(world.system());
    const words = /^words: (.+)$/m.exec(await readFile(file, 'utf8'))?.[1] ?? '';
    for (const { address, addressIndex } of made)
      expect(mnemonicToAccount(words, { addressIndex }).address).toBe(address);
  });

  test('once more under the same idempotency seed answers the same one, also while the chain is away', async () => {
    const account = await world.account();
    const op = world.op(account, Buffer.alloc(32, 1));
    const wish = { amountUsd: '5', coin: 'USDC' };
    const first = await world.payments.request(op, wish);
    world.between.trick = () => 'silence';
    expect((await world.payments.request(op, wish)).id).toBe(first.id);
    expect(await world.payments.list(op)).toHaveLength(1);
  });

  test('is refused beyond ten that wait, until one is paid or has expired', async () => {
    const account = await world.payer();
    const topups: Topup[] = [];
    for (let count = 0; count < 10; count++) topups.push(await world.asked(account));
    await expect(world.asked(account)).rejects.toMatchObject({ code: 'conflict' });
    await world.asked(await world.account());
    await world.coin.pay(topups[0]!.address, USDC);
    await world.look();
    await world.asked(account);
    await expect(world.asked(account)).rejects.toMatchObject({ code: 'conflict' });
    world.clock.advance(DAY + MINUTE);
    await world.asked(account);
  });

  test('is refused for another coin, an amount out of bounds, and where no payments are taken', async () => {
    const op = world.op(await world.account());
    for (const amountUsd of ['0.99', '10000.01', '1.001', '-5', '1e3', 'ten', 0.1 + 0.2, '٣'])
      await expect(world.payments.request(op, { amountUsd, coin: 'USDC' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(world.payments.request(op, { amountUsd: '5', coin: 'BTC' })).rejects.toMatchObject({
      code: 'invalid',
      message: 'coin must be USDC',
    });
    await expect(world.over({ off: true }).request(op, { amountUsd: '5', coin: 'USDC' })).rejects.toMatchObject({
      code: 'unconfigured',
    });
    await expect(world.payments.exportWallet(world.system())).rejects.toMatchObject({ code: 'not_found' });
  });
});
