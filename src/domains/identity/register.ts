import { AppError } from '../../kernel/errors.ts';
import type { AccountId } from '../../kernel/ids.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { HOUR } from '../../kernel/time.ts';
import type { Database, Tx } from '../../platform/db.ts';
import { networkOf, type Limit, type RequestLimits } from '../../platform/limits.ts';
import { recordFact } from '../../platform/outbox.ts';
import type { Account, OpenedBy } from './account.ts';
import { isRightAnswer, readToken, type ChallengeClaims, type ChallengeKeys } from './challenge.ts';
import { keyOf, makeKey, secretOf, type MintedKey } from './key.ts';
import { findAccount, findKey, insertAccount, insertIdentity, insertKey, spendChallenge } from './store.ts';

/** Accounts that one network address may open. */
const REGISTRATIONS: Limit = { name: 'registration', max: 3, windowMs: HOUR };
const FIRST_KEY_NAME = 'registration';

export type RegisterDeps = {
  db: Database;
  limits: RequestLimits;
  challengeKeys: ChallengeKeys;
  /** Does what else belongs to a new account, in the same transaction. */
  onAccountOpened: (tx: Tx, op: Op, accountId: AccountId, by: OpenedBy) => Promise<void>;
};

export type Registration = { account: Account; key: MintedKey };

/**
 * Opens an agent's account for the right answer to a challenge. Any answer spends the challenge, so that answers
 * cannot be tried out. Throws `invalid` for a malformed token, `unauthenticated` for a wrong answer and for a
 * challenge that is forged, expired or spent, `rate_limited` for too many accounts from one address.
 */
export async function register(
  deps: RegisterDeps,
  op: Op,
  request: { token: string; answer: string; name: string },
): Promise<Registration> {
  const earlier = await findEarlier(deps, op);
  if (earlier) return earlier;
  const claims = readToken(deps.challengeKeys, request.token);
  if (claims.exp <= op.now.getTime()) throw new AppError('unauthenticated', 'The challenge has expired');
  const outcome = await deps.db.transact((tx) => attempt(deps, tx, op, claims, request));
  if (outcome === 'spent') throw new AppError('unauthenticated', 'The challenge was already answered');
  if (outcome === 'wrong') throw new AppError('unauthenticated', 'Wrong answer');
  return outcome;
}

/** What the same request has done before, where it is carried out once more under its idempotency key. */
async function findEarlier({ db }: RegisterDeps, op: Op): Promise<Registration | undefined> {
  if (!op.seed) return undefined;
  const account = await findAccount(db, newId(op, 'account'));
  const row = account && (await findKey(db, newId(op, 'key')));
  return account && row && { account, key: { ...keyOf(row), secret: secretOf(op, {}) } };
}

/** A wrong answer is an outcome and not an error here: that the challenge is spent must be committed. */
async function attempt(
  deps: RegisterDeps,
  tx: Tx,
  op: Op,
  claims: ChallengeClaims,
  request: { answer: string; name: string },
): Promise<Registration | 'spent' | 'wrong'> {
  if (!(await spendChallenge(tx, claims.cid, new Date(claims.exp)))) return 'spent';
  if (!isRightAnswer(deps.challengeKeys, claims, request.answer)) return 'wrong';
  await deps.limits.countWithin(tx, REGISTRATIONS, networkOf(op.address), op.now);
  return openAccount(deps, tx, op, { name: request.name, challengeId: claims.cid });
}

async function openAccount(
  deps: RegisterDeps,
  tx: Tx,
  op: Op,
  wish: { name: string; challengeId: string },
): Promise<Registration> {
  const account: Account = { id: newId(op, 'account'), kind: 'agent', name: wish.name, createdAt: op.now };
  const { row, secret } = makeKey(op, account.id, { name: FIRST_KEY_NAME, scopes: null });
  await insertAccount(tx, account);
  await insertIdentity(tx, {
    kind: 'challenge',
    subject: wish.challengeId,
    account_id: account.id,
    secret: null,
    created_at: op.now,
  });
  await insertKey(tx, row);
  await deps.onAccountOpened(tx, op, account.id, 'challenge');
  const { kind, name } = account;
  await recordFact(tx, op, {
    type: 'account.opened',
    subject: account.id,
    accountId: account.id,
    data: { kind, name, keyId: row.id },
  });
  return { account, key: { ...keyOf(row), secret } };
}
