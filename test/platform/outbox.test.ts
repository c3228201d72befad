import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { QueryResultRow } from 'pg';
import type { Op } from '../../src/kernel/op.ts';
import type { Database, Tx } from '../../src/platform/db.ts';
import { followFacts, recordFact } from '../../src/platform/outbox.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { systemOp } from '../harness/op.ts';

describe('the outbox', () => {
  let database: TestDatabase;
  let op: Op;
  beforeEach(async () => {
    database = await testDatabase();
    op = systemOp();
  });
  afterEach(() => database.drop());

  const record = (subject: string) =>
    database.db.transact((tx) => recordFact(tx, op, { type: 'thing.happened', subject, data: { subject } }));
  const follow = async (atLeast: number, follower = 'reader'): Promise<string[]> => {
    const seen: string[] = [];
    // A transaction under way in the same database holds back what may be read: later, never out of order.
    do await followFacts(database.db, follower, async (_tx, fact) => void seen.push(fact.subject));
    while (seen.length < atLeast);
    return seen;
  };

  test('each follower gets every fact once and in order', async () => {
    for (const subject of ['a', 'b', 'c']) await record(subject);
    expect(await follow(3)).toEqual(['a', 'b', 'c']);
    await record('d');
    expect(await follow(1)).toEqual(['d']);
    expect(await follow(4, 'another')).toEqual(['a', 'b', 'c', 'd']);
  });

  test('facts stay in order where transaction ids get one digit more', async () => {
    const untilMoreDigits = `select 10 ^ length(pg_current_xact_id()::text) - pg_current_xact_id()::text::bigint`;
    await database.db.query(
      `do $$ begin for i in 3..(${untilMoreDigits}) loop perform pg_current_xact_id(); commit; end loop; end $$`,
    );
    const subjects = Array.from({ length: 10 }, (_, n) => `fact ${n}`);
    for (const subject of subjects) await record(subject);
    expect(await follow(subjects.length)).toEqual(subjects);
  });

  test('a fact of a transaction that was rolled back was never there', async () => {
    await expect(
      database.db.transact(async (tx) => {
        await recordFact(tx, op, { type: 'thing.happened', subject: 'x', data: {} });
        throw new Error('roll back');
      }),
    ).rejects.toThrow('roll back');
    expect(await follow(0)).toEqual([]);
  });

  test('a fact that commits after a later one is not skipped', async () => {
    let commitFirst!: () => void;
    const wait = new Promise<void>((resolve) => (commitFirst = resolve));
    const slow = database.db.transact(async (tx) => {
      await recordFact(tx, op, { type: 'thing.happened', subject: 'slow', data: {} });
      await wait;
    });
    while (
      (
        await database.db.query(
          `select 1 from pg_stat_activity where state = 'idle in transaction' and datname = current_database()`,
        )
      ).length === 0
    );
    await record('quick');
    expect(await follow(0)).toEqual([]);
    commitFirst();
    await slow;
    expect(await follow(2)).toEqual(['slow', 'quick']);
  });

  test('a transaction in another database of the same PostgreSQL holds no fact back, however long it takes', async () => {
    const neighbour = await testDatabase();
    const { promise: end, resolve: finish } = Promise.withResolvers<void>();
    const { promise: begun, resolve: hasBegun } = Promise.withResolvers<void>();
    const long = neighbour.db.transact(async (tx) => {
      await recordFact(tx, op, { type: 'thing.happened', subject: 'theirs', data: {} });
      hasBegun();
      await end;
    });
    await begun;
    await record('ours');
    expect(await follow(1)).toEqual(['ours']);
    finish();
    await long;
    await neighbour.drop();
  });

  test('what a follower writes itself is not skipped, though younger transactions have ended before its own', async () => {
    await record('cause');
    /** Between the beginning of the follower's transaction and its reading. */
    let isYounger = false;
    const interposed = (tx: Tx): Tx => ({
      ...tx,
      query: async <Row extends QueryResultRow>(text: string, values?: unknown[]) => {
        if (!isYounger && text.includes('from facts')) {
          isYounger = true;
          await record('younger');
        }
        return tx.query<Row>(text, values);
      },
    });
    const db: Database = { ...database.db, transact: (work) => database.db.transact((tx) => work(interposed(tx))) };
    const seen: string[] = [];
    const once = () =>
      followFacts(db, 'writer', async (tx, { subject }) => {
        seen.push(subject);
        if (subject === 'cause')
          await recordFact(tx, op, { type: 'thing.happened', subject: 'written by the follower', data: {} });
      });
    while (seen.length < 3 && (await once()) > 0);
    expect(seen).toEqual(['cause', 'written by the follower', 'younger']);
  });

  test('when handling fails, the same facts come again', async () => {
    await record('a');
    const failing = async () => {
      while ((await followFacts(database.db, 'reader', () => Promise.reject(new Error('not now')))) === 0);
    };
    await expect(failing()).rejects.toThrow('not now');
    expect(await follow(1)).toEqual(['a']);
  });

  test('one that cannot be taken does not hold up the others, and is taken later', async () => {
    for (const subject of ['a', 'b', 'c']) await record(subject);
    const [seen, told]: string[][] = [[], []];
    let isBroken = true;
    const once = () =>
      followFacts(
        database.db,
        'patient',
        async (tx, { subject }) => {
          // Also what the database refuses harms nothing but the fact itself.
          if (subject === 'b' && isBroken) await tx.query('select 1 / 0');
          seen?.push(subject);
        },
        ({ subject }) => told?.push(subject),
      );
    while ((seen?.length ?? 0) < 2) await once();
    expect({ seen, told }).toEqual({ seen: ['a', 'c'], told: ['b'] });
    isBroken = false;
    await database.db.query(`update facts_missed set next_at = clock_timestamp()`);
    expect(await once()).toBe(1);
    expect(seen).toEqual(['a', 'c', 'b']);
    expect(await once()).toBe(0);
  });
});
