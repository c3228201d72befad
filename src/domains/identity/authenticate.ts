import { AppError } from '../../kernel/errors.ts';
import type { AccountActor, Actor, Op } from '../../kernel/op.ts';
import { MINUTE, after } from '../../kernel/time.ts';
import { sameSecret } from '../../platform/crypto.ts';
import type { Database } from '../../platform/db.ts';
import { looksLikeToken } from '../../platform/jwt.ts';
import { findHold } from './hold-store.ts';
import { hashOf, isKeySecret } from './key.ts';
import { stands } from './login.ts';
import { findActiveKeyByHash, markUsed, type KeyRow } from './store.ts';
import { readLoginToken, type TokenKinds } from './tokens.ts';

/** The time of a key's last use is at most this old. */
const LAST_USE_PRECISION = MINUTE;

export type Credential = {
  secret: string;
  /** Whether it came as `Bearer`, the only way in which the operator's key counts. */
  bearer: boolean;
};

type Deps = { db: Database; adminKey: string; tokens: TokenKinds };

/**
 * Who holds a credential: a key, or the access token of a login. Asks the database each time, so that a revoked key
 * and an ended login are refused at once. Throws `unauthenticated`.
 */
export async function authenticate(deps: Deps, op: Op, credential: Credential): Promise<Actor> {
  if (credential.bearer && sameSecret(credential.secret, deps.adminKey)) return { kind: 'admin' };
  if (looksLikeToken(credential.secret)) return authenticateLogin(deps, op, credential.secret);
  const key = isKeySecret(credential.secret)
    ? await findActiveKeyByHash(deps.db, hashOf(credential.secret))
    : undefined;
  if (!key) throw new AppError('unauthenticated', 'Invalid API key');
  await noteUse(deps.db, op, key);
  return await heldOrNot(deps.db, {
    kind: 'account',
    accountId: key.account_id,
    keyId: key.id,
    scopes: key.scopes,
  });
}

async function authenticateLogin({ db, tokens }: Deps, op: Op, token: string): Promise<Actor> {
  const login = readLoginToken(tokens.access, token, op.now) ?? readLoginToken(tokens.password, token, op.now);
  if (!login || !(await stands(db, op, login)))
    throw new AppError('unauthenticated', 'The access token is invalid or has expired');
  return await heldOrNot(db, { kind: 'account', ...login, scopes: null });
}

/** An account that acts, with whether the operator has suspended it. */
export async function heldOrNot(db: Database, actor: AccountActor): Promise<AccountActor> {
  return (await findHold(db, actor.accountId)) ? { ...actor, isHeld: true } : actor;
}

async function noteUse(db: Database, op: Op, key: KeyRow): Promise<void> {
  const unlessSince = after(op.now, -LAST_USE_PRECISION);
  if (key.last_used_at && key.last_used_at > unlessSince) return;
  await db.transact((tx) => markUsed(tx, key.id, op.now, unlessSince));
}
