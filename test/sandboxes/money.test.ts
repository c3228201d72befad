import { describe, expect, test } from 'vitest';
import type { AccountId } from '../../src/kernel/ids.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../src/kernel/time.ts';
import { sandboxWorld } from './world.ts';

const world = sandboxWorld();
const { clock, op, started, sweep, available, history, account } = world;

/** Five cents an hour, by the second begun. */
const price = (milliseconds: number): bigint => (BigInt(Math.ceil(milliseconds / SECOND)) * 50_000n + 3_599n) / 3_600n;
const spent = async (accountId: AccountId): Promise<bigint> => 1_000_000n - (await available(accountId));

describe('a sandbox', () => {
  test('has its first minute paid when it begins, and each further one when that is over', async () => {
    const owner = await account();
    const { id } = await started(owner);
    expect(await spent(owner)).toBe(price(MINUTE));
    clock.advance(59 * SECOND);
    await sweep();
    expect(await spent(owner)).toBe(price(MINUTE));
    clock.advance(SECOND);
    await sweep();
    expect(await spent(owner)).toBe(price(2 * MINUTE));
    for (let minute = 0; minute < 58; minute++) {
      clock.advance(MINUTE);
      await sweep();
    }
    expect(await spent(owner)).toBe(50_000n); // an hour: five cents, to the micro-dollar
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'running' });
  });

  test('gives back what was not used, to the second begun', async () => {
    const owner = await account();
    const { id } = await started(owner);
    clock.advance(17_300);
    await world.sandboxes.destroy(op(owner), id);
    expect(await spent(owner)).toBe(price(18 * SECOND));
    await sweep();
    clock.advance(HOUR);
    await sweep();
    expect(await spent(owner)).toBe(price(18 * SECOND));
  });

  test('costs what its size costs', async () => {
    for (const [vcpus, memoryMb, hourly] of [
      [1, 512, 50_000n],
      [2, 2_048, 150_000n],
      [1, 1_024, 150_000n],
      [4, 8_192, 450_000n],
      [3, 512, 450_000n],
    ] as const) {
      const owner = await account();
      const { id } = await started(owner, { limits: { vcpus, memoryMb, diskGb: 1 } });
      clock.advance(MINUTE - 1);
      await world.sandboxes.destroy(op(owner), id);
      expect(await spent(owner)).toBe((60n * hourly + 3_599n) / 3_600n);
    }
  });

  test('is not charged while it is paused, however often that is', async () => {
    const owner = await account();
    const { id } = await started(owner);
    let usedMs = 0;
    for (const ranMs of [12_345, 999, 61_001, 1, 30_000]) {
      clock.advance(ranMs);
      usedMs += ranMs;
      await sweep();
      await world.sandboxes.pause(op(owner), id, { keepMemory: true });
      expect(await spent(owner)).toBe(price(usedMs));
      clock.advance(5 * HOUR);
      await sweep();
      expect(await spent(owner)).toBe(price(usedMs));
      await world.sandboxes.keepAlive(op(owner), id, undefined);
    }
    await world.sandboxes.destroy(op(owner), id);
    expect(await spent(owner)).toBe(price(usedMs));
  });

  test('pays for the time in which nobody looked, in one piece', async () => {
    const owner = await account();
    await started(owner);
    clock.advance(3 * HOUR + 20 * SECOND);
    await sweep();
    expect(await spent(owner)).toBe(price(3 * HOUR + MINUTE));
    expect((await history(owner)).map(({ type }) => type)).toEqual(['deposit', 'sandbox_charge', 'sandbox_charge']);
  });

  test('that ended while nobody looked pays up to its end and no longer', async () => {
    const owner = await account();
    const { id } = await started(owner, { timeoutMs: 90 * SECOND });
    clock.advance(HOUR);
    await sweep();
    expect(await spent(owner)).toBe(price(90 * SECOND));
    await expect(world.sandboxes.get(op(owner), id)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('lives on for months by the platform’s clock, and its machine’s lease with it', async () => {
    const owner = await account(200_000_000n);
    const { id } = await started(owner);
    for (let day = 0; day < 70; day++) {
      clock.advance(DAY);
      await sweep();
    }
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'running' });
    await world.sandboxes.destroy(op(owner), id);
    expect(200_000_000n - (await available(owner))).toBe(price(70 * DAY));
  });
});

describe('without money', () => {
  test('no sandbox begins, and nothing is left of it', async () => {
    const owner = await account(833n);
    await expect(started(owner)).rejects.toMatchObject({ code: 'unaffordable' });
    expect(await available(owner)).toBe(833n);
    expect(world.driver.asked).toEqual([]);
    expect(await world.database.db.query('select 1 from sandboxes')).toEqual([]);
  });

  test('a sandbox ends when what is paid is over, having had all that was paid', async () => {
    const owner = await account(price(3 * MINUTE) + 5n);
    const { id } = await started(owner);
    for (let minute = 1; minute <= 2; minute++) {
      clock.advance(MINUTE);
      await sweep();
    }
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'running' });
    expect(await available(owner)).toBe(5n);
    clock.advance(MINUTE);
    await sweep();
    await expect(world.sandboxes.get(op(owner), id)).rejects.toMatchObject({ code: 'not_found' });
    expect(await available(owner)).toBe(5n);
    expect(await world.driver.list()).toEqual([]);
  });

  test('one that would pause at its timeout pauses, and goes on when there is money again', async () => {
    const owner = await account(price(MINUTE));
    const { id } = await started(owner, { lifecycle: { onTimeout: 'pause' } });
    clock.advance(MINUTE);
    await sweep();
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'paused', pausedBy: 'money' });
    await expect(world.sandboxes.keepAlive(op(owner), id, undefined)).rejects.toMatchObject({ code: 'unaffordable' });
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'paused' });
    expect(await available(owner)).toBe(0n);
  });

  test('one that ran on while nobody looked pays as many minutes as the money covers', async () => {
    const owner = await account(price(10 * MINUTE));
    const { id } = await started(owner);
    clock.advance(HOUR);
    await sweep();
    await expect(world.sandboxes.get(op(owner), id)).rejects.toMatchObject({ code: 'not_found' });
    expect(await available(owner)).toBe(0n);
  });

  test('one whose timeout was over while nobody looked leaves the wallet empty and never below', async () => {
    const owner = await account(price(MINUTE) + 100n);
    await started(owner, { timeoutMs: 10 * MINUTE });
    clock.advance(HOUR);
    await sweep();
    expect(await available(owner)).toBe(0n);
  });
});

describe('the statement', () => {
  test('explains every micro-dollar in words that a person understands', async () => {
    const owner = await account();
    const { id, code } = await started(owner, { name: 'scraper' });
    clock.advance(MINUTE);
    await sweep();
    clock.advance(10 * SECOND);
    await world.sandboxes.destroy(op(owner), id);
    const changes = (await history(owner)).slice(1);
    expect(changes.map(({ type, amount, description }) => [type, amount, description])).toEqual([
      ['sandbox_charge', -834n, `Sandbox scraper (sbx-${code}), 1vcpu_512mb: paid until 2026-03-13 12:01:00 UTC`],
      ['sandbox_charge', -833n, `Sandbox scraper (sbx-${code}), 1vcpu_512mb: paid until 2026-03-13 12:02:00 UTC`],
      ['sandbox_refund', 694n, `Sandbox scraper (sbx-${code}), 1vcpu_512mb: unused time given back`],
    ]);
    expect(changes.reduce((sum, { amount }) => sum + amount, 1_000_000n)).toBe(await available(owner));
  });

  test('of many sandboxes adds up, and the ledger proves itself', async () => {
    const owner = await account();
    const sandboxes = await Promise.all(
      [5, 15, 25, 35].map((seconds) => started(owner, { timeoutMs: seconds * MINUTE + seconds * 7 })),
    );
    for (let minute = 0; minute < 40; minute++) {
      clock.advance(MINUTE);
      await sweep();
    }
    expect(sandboxes).toHaveLength(4);
    const used = [5, 15, 25, 35].map((seconds) => price(seconds * MINUTE + seconds * 7));
    expect(await spent(owner)).toBe(used.reduce((sum, one) => sum + one));
    expect((await world.ledger.reconcile(world.database.db)).USD.discrepancies).toEqual([]);
  });
});

describe('many sweeps at once', () => {
  test('charge each period once', async () => {
    const owner = await account();
    await Promise.all(Array.from({ length: 10 }, () => started(owner)));
    for (let minute = 1; minute <= 3; minute++) {
      clock.advance(MINUTE);
      const others = [world.over({}), world.over({}), world.sandboxes];
      await Promise.all(others.map((sandboxes) => sandboxes.tick(world.system())));
    }
    await sweep();
    expect(await spent(owner)).toBe(10n * price(4 * MINUTE));
  });

  test('and a destroy at the same moment leave one ending and the right price', async () => {
    const owner = await account();
    const { id } = await started(owner, { timeoutMs: MINUTE });
    clock.advance(MINUTE);
    const results = await Promise.allSettled([
      world.sandboxes.destroy(op(owner), id),
      world.sandboxes.destroy(op(owner), id),
      world.sandboxes.tick(world.system()),
      world.over({}).tick(world.system()),
    ]);
    expect(results.filter(({ status }) => status === 'rejected').length).toBeLessThan(3);
    expect(await spent(owner)).toBe(price(MINUTE));
    expect((await world.facts(id)).filter((type) => type === 'sandbox.destroyed')).toHaveLength(1);
  });
});
