import { afterAll, beforeAll, expect, test } from 'vitest';
import { solveChallenge } from '../../cli/solve-challenge.ts';
import { testDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { systemOp } from '../../../test/harness/op.ts';
import type { AccountId } from '../../kernel/ids.ts';
import { requestLimits } from '../../platform/limits.ts';
import { createIdentity } from './index.ts';

let database: TestDatabase;
let broken: Error | undefined;
const opened: AccountId[] = [];
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.drop());

const identity = () =>
  createIdentity({
    db: database.db,
    limits: requestLimits,
    secret: Buffer.alloc(32, 1),
    adminKey: 'unused in this file',
    onAccountOpened: async (tx, _op, accountId) => {
      expect(await tx.query('select 1 from accounts where id = $1', [accountId])).toHaveLength(1);
      if (broken) throw broken;
      opened.push(accountId);
    },
  });

test('an account is opened with all that belongs to it or not at all, and then neither challenge nor quota is used up', async () => {
  const op = { ...systemOp(), address: '192.0.2.1' };
  const { challenge, token } = identity().challenge(op);
  const request = { token, answer: solveChallenge({ ...challenge, type: challenge.kind }), name: 'my-agent' };
  broken = new Error('the wallet cannot be opened');
  for (let n = 0; n < 4; n++) await expect(identity().register(op, request)).rejects.toThrow(broken.message);
  expect(await database.db.query('select 1 from accounts')).toEqual([]);
  expect(await database.db.query('select 1 from facts')).toEqual([]);
  broken = undefined;
  const { account } = await identity().register(op, request);
  expect(opened).toEqual([account.id]);
  expect(await database.db.query('select type, subject from facts')).toEqual([
    { type: 'account.opened', subject: account.id },
  ]);
});

test('a second process knows which challenges the first has seen answered', async () => {
  const op = { ...systemOp(), address: '192.0.2.2' };
  const [first, second] = [identity(), identity()];
  const { challenge, token } = first.challenge(op);
  const request = { token, answer: solveChallenge({ ...challenge, type: challenge.kind }), name: 'my-agent' };
  await second.register(op, request);
  await expect(first.register(op, request)).rejects.toMatchObject({ code: 'unauthenticated' });
});

test('challenges and claim links are forgotten once they have expired, and not before', async () => {
  const remembered = async () => (await database.db.query('select 1 from spent_challenges')).length;
  const before = await remembered();
  expect(before).toBeGreaterThan(0);
  await identity().forgetExpired(systemOp());
  expect(await remembered()).toBe(before);
  await identity().forgetExpired(systemOp(new Date(Date.now() + 3_600_000)));
  expect(await remembered()).toBe(0);
});
