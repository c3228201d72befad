import { afterAll, beforeAll, expect, test } from 'vitest';
import { keptSecret } from '../../src/platform/kept-secret.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';

const SECRET = Buffer.alloc(32, 7);
let database: TestDatabase;
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.drop());
const kept = (name: string, secret = SECRET) => keptSecret({ db: database.db, secret, clock: systemClock }, name);

test('several processes that need a secret at once have the same one, and it is not in the database as it is', async () => {
  expect(await kept('door').find()).toBeUndefined();
  const found = await Promise.all(
    Array.from({ length: 8 }, (_, place) => kept('door').findOrMake(async () => `made by number ${place}`)),
  );
  const texts = new Set(found.map(String));
  expect(texts.size).toBe(1);
  expect(String(await kept('door').find())).toBe([...texts][0]);
  const [row] = await database.db.query<{ sealed: Buffer }>(`select sealed from kept_secrets where name = 'door'`);
  expect(row?.sealed.toString('latin1')).not.toContain('made by');
});

test('a secret opens under its own name and the installation’s own secret only', async () => {
  await kept('window').findOrMake(() => 'wooden');
  await database.db.query(
    `insert into kept_secrets (name, sealed, created_at) select 'gate', sealed, created_at from kept_secrets where name = 'window'`,
  );
  await expect(kept('gate').find()).rejects.toThrow();
  await expect(kept('window', Buffer.alloc(32, 8)).find()).rejects.toThrow();
});
