import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MINUTE, after } from '../../src/kernel/time.ts';
import { forgetEndedWindows, networkOf, requestLimits, type Limit } from '../../src/platform/limits.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';

const LIMIT: Limit = { name: 'test', max: 3, windowMs: MINUTE };
const NOON = new Date('2026-03-01T12:00:00Z');

describe('request limits', () => {
  let database: TestDatabase;
  beforeAll(async () => void (database = await testDatabase()));
  afterAll(() => database.drop());
  const hit = (who: string, now: Date) => requestLimits.count(database.db, LIMIT, who, now);

  test('the request after the last allowed one is refused until the window of the first one ends', async () => {
    for (let n = 0; n < LIMIT.max; n++) await hit('a', NOON);
    await expect(hit('a', after(NOON, 15_000))).rejects.toMatchObject({ code: 'rate_limited', retryAfterSeconds: 45 });
    await expect(hit('a', after(NOON, MINUTE))).resolves.toBeUndefined();
  });

  test('refused requests do not lengthen the wait', async () => {
    for (let n = 0; n < 50; n++) await hit('b', NOON).catch(() => {});
    await expect(hit('b', after(NOON, MINUTE))).resolves.toBeUndefined();
  });

  test('of many requests at the same moment exactly the allowed ones pass', async () => {
    const results = await Promise.allSettled(Array.from({ length: 40 }, () => hit('c', NOON)));
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(LIMIT.max);
  });

  test('callers and limits do not share a window', async () => {
    for (let n = 0; n < LIMIT.max; n++) await hit('d', NOON);
    await expect(hit('e', NOON)).resolves.toBeUndefined();
    await expect(requestLimits.count(database.db, { ...LIMIT, name: 'other' }, 'd', NOON)).resolves.toBeUndefined();
  });

  test('what is counted in a transaction counts only when it commits', async () => {
    const failing = (n: number) =>
      database.db.transact(async (tx) => {
        await requestLimits.countWithin(tx, LIMIT, 'g', NOON);
        throw new Error(`undone ${n}`);
      });
    for (let n = 0; n < 5; n++) await expect(failing(n)).rejects.toThrow('undone');
    const committed = Array.from({ length: 8 }, () =>
      database.db.transact((tx) => requestLimits.countWithin(tx, LIMIT, 'g', NOON)),
    );
    const results = await Promise.allSettled(committed);
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(LIMIT.max);
  });

  test('counting in a transaction leaves its commit as durable as it was', async () => {
    const setting = await database.db.transact(async (tx) => {
      await requestLimits.countWithin(tx, LIMIT, 'h', NOON);
      return tx.query<{ synchronous_commit: string }>('show synchronous_commit');
    });
    expect(setting).toEqual([{ synchronous_commit: 'on' }]);
  });

  test('ended windows are forgotten, open ones are not', async () => {
    await forgetEndedWindows(database.db, after(NOON, 2 * MINUTE));
    await hit('f', after(NOON, 2 * MINUTE));
    expect(await forgetEndedWindows(database.db, after(NOON, 2 * MINUTE))).toBe(0);
    expect(await forgetEndedWindows(database.db, after(NOON, 3 * MINUTE))).toBe(1);
  });
});

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2:ffff::1', '2001:db8:1:2::/64'],
  ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
  ['not an address', 'unknown'],
  [undefined, 'unknown'],
])('limits count %s as %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});
