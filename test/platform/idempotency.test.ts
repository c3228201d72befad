import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DAY, HOUR, MINUTE, after } from '../../src/kernel/time.ts';
import { forgetOldReplies, onceOnly, type NamedRequest } from '../../src/platform/idempotency.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';

const SECRET = Buffer.alloc(32, 7);
const NOON = new Date('2026-03-01T12:00:00Z');
const named = (key: string, change: Partial<NamedRequest> = {}): NamedRequest => ({
  scope: 'account:1',
  key,
  content: 'POST /things {}',
  secret: 'credential',
  ...change,
});

describe('a request named by its caller', () => {
  let database: TestDatabase;
  let works = 0;
  beforeAll(async () => void (database = await testDatabase()));
  afterAll(() => database.drop());

  const request = (
    which: NamedRequest,
    now = NOON,
    work = async () => ({ status: 201, body: { n: ++works } as unknown }),
  ) => onceOnly(database.db, SECRET, which, now, work);

  test('is carried out once; a repetition answers the first reply', async () => {
    const first = await request(named('a'));
    expect(await request(named('a'))).toEqual({ ...first, replayed: true });
  });

  test('is a conflict when the same name comes with other content', async () => {
    await request(named('b'));
    await expect(request(named('b', { content: 'POST /things {"x":1}' }))).rejects.toMatchObject({ code: 'conflict' });
  });

  test('does not meet the same name of another caller', async () => {
    const mine = await request(named('c'));
    expect(await request(named('c', { scope: 'account:2' }))).not.toEqual(mine);
  });

  test('of many at once exactly one is carried out', async () => {
    const before = works;
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => request(named('d'))));
    expect(works).toBe(before + 1);
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'conflict' });
  });

  test('can be tried again after it failed', async () => {
    const failing = request(named('e'), NOON, () => Promise.reject(new Error('database away')));
    await expect(failing).rejects.toThrow('database away');
    await expect(request(named('e'))).resolves.toMatchObject({ status: 201, replayed: false });
  });

  test('is taken over with the same seed when its process died half-way', async () => {
    const seeds: string[] = [];
    const dying = (seed: Buffer) => {
      seeds.push(seed.toString('hex'));
      return new Promise<never>(() => {});
    };
    void onceOnly(database.db, SECRET, named('f'), NOON, dying);
    while (seeds.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(request(named('f'), after(NOON, MINUTE))).rejects.toMatchObject({
      code: 'conflict',
      retryAfterSeconds: 1,
    });
    await onceOnly(database.db, SECRET, named('f'), after(NOON, HOUR), async (seed) => {
      seeds.push(seed.toString('hex'));
      return { status: 200, body: null };
    });
    expect(seeds[1]).toBe(seeds[0]);
  });

  test('that fails after it was taken over leaves the name to who has taken it over', async () => {
    const [begun, failing] = [Promise.withResolvers<void>(), Promise.withResolvers<never>()];
    const slow = request(named('j'), NOON, () => (begun.resolve(), failing.promise));
    await begun.promise;
    const [taken, done] = [Promise.withResolvers<void>(), Promise.withResolvers<{ status: number; body: unknown }>()];
    const second = request(named('j'), after(NOON, HOUR), () => (taken.resolve(), done.promise));
    await taken.promise;
    failing.reject(new Error('too late'));
    await expect(slow).rejects.toThrow('too late');
    const other = named('j', { content: 'POST /things {"x":1}' });
    await expect(request(other, after(NOON, HOUR))).rejects.toMatchObject({ code: 'conflict' });
    done.resolve({ status: 201, body: 'second' });
    await second;
    expect(await request(named('j'), after(NOON, HOUR))).toEqual({ status: 201, body: 'second', replayed: true });
  });

  test('gives its reply only to the credential that made it', async () => {
    await request(named('g'));
    await expect(request(named('g', { secret: 'another key' }))).rejects.toMatchObject({ code: 'conflict' });
  });

  test('keeps its reply in a form that the database alone does not reveal', async () => {
    await request(named('h'), NOON, async () => ({ status: 201, body: { key: 'bod_live_secret' } }));
    const [row] = await database.db.query<{ reply: Buffer }>(`select reply from idempotency_records where key = 'h'`);
    expect(row?.reply.toString('latin1')).not.toContain('bod_live_secret');
  });

  test('is forgotten after a day', async () => {
    await request(named('i'));
    expect(await forgetOldReplies(database.db, after(NOON, DAY))).toBeGreaterThan(0);
    await expect(request(named('i'))).resolves.toMatchObject({ replayed: false });
  });
});
