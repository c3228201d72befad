import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AccountOp } from '../../src/kernel/op.ts';
import { DAY, after } from '../../src/kernel/time.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { accountOp, systemOp } from '../harness/op.ts';
import { createBellWebhooks, newAccountId, ring, untilHeard } from './bells.ts';
import { startReceiver, type Arrival } from './receiver.ts';

let database: TestDatabase;
let now = new Date();
const webhooks = () => createBellWebhooks(database.db, { now: () => now });
const stranger = (): AccountOp => accountOp(newAccountId(systemOp()), { now });
const accepts = (secret: string, { headers, body }: Arrival): boolean => {
  try {
    new Webhook(secret).verify(body, headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
};

/** What a receiver gets for the account now. */
async function nextArrival(op: AccountOp): Promise<Arrival> {
  const receiver = await startReceiver((reply) => void reply.end());
  await ring(database.db, { ...op, now }, op.actor.accountId, receiver.url, 1);
  await untilHeard(database.db);
  await webhooks().deliverDue(systemOp(now));
  await receiver.close();
  const [arrival] = receiver.arrivals;
  if (!arrival) throw new Error('nothing arrived');
  return arrival;
}

beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.drop());

test('an account has one secret, of 32 random bytes, and it stays the same', async () => {
  const [op, other] = [stranger(), stranger()];
  const secrets = await Promise.all(Array.from({ length: 5 }, async () => (await webhooks().secret(op)).secret));
  expect(new Set(secrets).size).toBe(1);
  expect(secrets[0]).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect((await webhooks().secret(other)).secret).not.toBe(secrets[0]);
});

test('secrets are not in the database in the clear', async () => {
  const { secret } = await webhooks().secret(stranger());
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const rows = await database.db.query<{ current: Buffer }>(`select current from webhook_secrets`);
  expect(rows.length).toBeGreaterThan(0);
  expect(rows.some(({ current }) => current.includes(key))).toBe(false);
});

test('after a rotation both secrets sign for a day, then only the new one', async () => {
  const op = stranger();
  const before = await webhooks().secret(op);
  const rotated = await webhooks().rotateSecret({ ...op, now });
  expect(rotated.secret).not.toBe(before.secret);
  expect(rotated.previousUntil).toEqual(after(now, DAY));
  const overlapping = await nextArrival(op);
  expect([accepts(before.secret, overlapping), accepts(rotated.secret, overlapping)]).toEqual([true, true]);
  now = after(now, DAY);
  const later = await nextArrival(op);
  expect([accepts(before.secret, later), accepts(rotated.secret, later)]).toEqual([false, true]);
  expect(await webhooks().secret({ ...op, now })).toMatchObject({ secret: rotated.secret, previousUntil: null });
});

test('a second rotation ends the oldest secret at once', async () => {
  const op = stranger();
  const { secret: oldest } = await webhooks().secret(op);
  const { secret: middle } = await webhooks().rotateSecret(op);
  const { secret: newest } = await webhooks().rotateSecret(op);
  const arrival = await nextArrival(op);
  expect([oldest, middle, newest].map((secret) => accepts(secret, arrival))).toEqual([false, true, true]);
});

test('a rotation that is carried out again under its idempotency key gives the same secret and rotates once', async () => {
  const op = { ...stranger(), seed: Buffer.alloc(32, 1) };
  const { secret: before } = await webhooks().secret({ ...op, seed: undefined });
  const first = await webhooks().rotateSecret(op);
  const again = await webhooks().rotateSecret(op);
  expect(again).toEqual(first);
  const arrival = await nextArrival({ ...op, seed: undefined });
  expect(accepts(before, arrival)).toBe(true);
});

test('rotations at the same time leave the last one current', async () => {
  const op = stranger();
  const rotated = await Promise.all([1, 2, 3, 4].map(() => webhooks().rotateSecret(op)));
  const { secret } = await webhooks().secret(op);
  expect(rotated.filter((each) => each.secret === secret)).toHaveLength(1);
});

test('a foreign signature is not accepted', async () => {
  const arrival = await nextArrival(stranger());
  const { secret } = await webhooks().secret(stranger());
  expect(accepts(secret, arrival)).toBe(false);
});
