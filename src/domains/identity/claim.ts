import { AppError, assert } from '../../kernel/errors.ts';
import type { AccountId } from '../../kernel/ids.ts';
import { secretBytes, type AccountOp, type Op } from '../../kernel/op.ts';
import { DAY, after } from '../../kernel/time.ts';
import { sha256 } from '../../platform/crypto.ts';
import type { Database, Db, Tx } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import { mayLinkClaim } from './policy.ts';
import { hashPassword, isPassword, normaliseEmail } from './password.ts';
import { findClaimLink, findClaimLinkOf, findPasswordOf, insertIdentity, lockAccount, putClaimLink } from './store.ts';

const LINK_LIVES_FOR = DAY;
const ALREADY_CLAIMED = 'This account has already been claimed';

export type ClaimLink = { token: string; expiresAt: Date };
export type Claimed = { accountId: AccountId; email: string };
export type ClaimRequest = { token: string; email: string; password: string };

/** A token with which a person can take the caller's account over, once. It ends the one given before. */
export async function linkClaim(db: Database, op: AccountOp): Promise<ClaimLink> {
  const { accountId } = op.actor;
  mayLinkClaim(op.actor);
  const token = secretBytes(op, 'claim').toString('base64url');
  const tokenHash = sha256(token);
  return db.transact(async (tx) => {
    await lockAccount(tx, accountId);
    if (await findPasswordOf(tx, accountId)) throw new AppError('conflict', ALREADY_CLAIMED);
    const current = await findClaimLinkOf(tx, accountId);
    if (current?.token_hash.equals(tokenHash)) return { token, expiresAt: current.expires_at };
    const expiresAt = after(op.now, LINK_LIVES_FOR);
    await putClaimLink(tx, { account_id: accountId, token_hash: tokenHash, expires_at: expiresAt });
    await recordFact(tx, op, { type: 'account.claim_linked', subject: accountId, accountId, data: { expiresAt } });
    return { token, expiresAt };
  });
}

/**
 * Gives the account behind a claim link a person's e-mail address and password; its keys keep working. Throws
 * `not_found` for an unknown or expired link, `conflict` for an account that is claimed or an address that is taken.
 */
export async function claim(db: Database, op: Op, request: ClaimRequest): Promise<Claimed> {
  const link = await findClaimLink(db, sha256(request.token));
  if (!link || link.expires_at <= op.now)
    throw new AppError('not_found', 'This claim link does not exist or has expired');
  const { account_id: accountId } = link;
  const email = normaliseEmail(request.email);
  if (await wasClaimedWith(db, op, accountId, { email, password: request.password })) return { accountId, email };
  const secret = await hashPassword(request.password);
  await db.transact((tx) => attachPassword(tx, op, accountId, { email, secret }));
  return { accountId, email };
}

/** Whether the same request, carried out once more under its idempotency key, has claimed the account before. */
async function wasClaimedWith(
  db: Db,
  op: Op,
  accountId: AccountId,
  person: { email: string; password: string },
): Promise<boolean> {
  const identity = await findPasswordOf(db, accountId);
  if (!identity) return false;
  const same = op.seed !== undefined && identity.subject === person.email;
  assert(identity.secret !== null, 'a password identity has a hash');
  if (same && (await isPassword(identity.secret, person.password))) return true;
  throw new AppError('conflict', ALREADY_CLAIMED);
}

async function attachPassword(
  tx: Tx,
  op: Op,
  accountId: AccountId,
  person: { email: string; secret: string },
): Promise<void> {
  await lockAccount(tx, accountId);
  if (await findPasswordOf(tx, accountId)) throw new AppError('conflict', ALREADY_CLAIMED);
  const { email: subject, secret } = person;
  const added = await insertIdentity(tx, {
    kind: 'password',
    subject,
    account_id: accountId,
    secret,
    created_at: op.now,
  });
  if (!added) throw new AppError('conflict', 'This e-mail address already belongs to an account');
  await recordFact(tx, op, { type: 'account.claimed', subject: accountId, accountId, data: {} });
}
