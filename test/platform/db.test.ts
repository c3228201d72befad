import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '../harness/database.ts';

type Tables = { test_clock: { only_row: boolean; ahead_ms: bigint } };

describe('the database handle', () => {
  let database: TestDatabase;
  beforeAll(async () => void (database = await testDatabase()));
  afterAll(() => database.drop());
  const read = async () =>
    (await database.db.tables<Tables>().selectFrom('test_clock').select('ahead_ms').executeTakeFirstOrThrow()).ahead_ms;

  test('commits what the work wrote, through Kysely and SQL alike', async () => {
    await database.db.transact(async (tx) => {
      await tx.tables<Tables>().updateTable('test_clock').set({ ahead_ms: 1n }).execute();
      await tx.query(`update test_clock set ahead_ms = ahead_ms + 1`);
    });
    expect(await read()).toBe(2n);
  });

  test('rolls everything back when the work throws', async () => {
    const failing = database.db.transact(async (tx) => {
      await tx.query(`update test_clock set ahead_ms = 99`);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await read()).not.toBe(99n);
  });

  test('tries again when two transactions deadlock, and both come through', async () => {
    await database.db.query(`insert into request_windows values ('x', now(), now(), 0), ('y', now(), now(), 0)`);
    let arrived = 0;
    const both = Promise.withResolvers<void>();
    const add = (first: string, second: string) =>
      database.db.transact(async (tx) => {
        await tx.query(`update request_windows set count = count + 1 where bucket = $1`, [first]);
        if (++arrived === 2) both.resolve();
        await both.promise;
        await tx.query(`update request_windows set count = count + 1 where bucket = $1`, [second]);
      });
    await Promise.all([add('x', 'y'), add('y', 'x')]);
    const rows = await database.db.query<{ count: number }>(
      `select count from request_windows where bucket in ('x', 'y')`,
    );
    expect(rows.map((row) => row.count)).toEqual([2, 2]);
  });

  test('whole numbers of 64 bits come back exact', async () => {
    expect(await database.db.query(`select 9223372036854775807::int8 as n`)).toEqual([{ n: 9223372036854775807n }]);
  });
});
