import { AppError } from '../../kernel/errors.ts';
import { secretBytes, type Op } from '../../kernel/op.ts';
import { after, HOUR } from '../../kernel/time.ts';
import { hmacSha256, sameSecret } from '../../platform/crypto.ts';
import type { Database } from '../../platform/db.ts';
import { deleteOperatorSession, hasOperatorSession, insertOperatorSession } from './operator-store.ts';

/**
 * The operator in a browser, which cannot show the admin key with each request: it shows the key once, and from then on
 * a token that lets it look for a while. What a token opens is for the route to say that takes it.
 */
export const OPERATOR_SESSION_LASTS = HOUR;
/** Longer texts are no tokens of ours. */
const MAX_TOKEN_LENGTH = 100;

type Deps = { db: Database; adminKey: string };

/** A token for whoever shows the admin key. Throws `unauthenticated`. */
export async function openOperatorSession({ db, adminKey }: Deps, op: Op, key: string): Promise<string> {
  if (!sameSecret(key, adminKey)) throw new AppError('unauthenticated', 'Invalid admin key');
  const token = secretBytes(op, 'operator session').toString('base64url');
  const session = {
    hash: hashOf(adminKey, token),
    createdAt: op.now,
    expiresAt: after(op.now, OPERATOR_SESSION_LASTS),
  };
  await db.transact((tx) => insertOperatorSession(tx, session));
  return token;
}

export const operatorSessionStands = async ({ db, adminKey }: Deps, op: Op, token: string): Promise<boolean> =>
  token.length <= MAX_TOKEN_LENGTH && hasOperatorSession(db, hashOf(adminKey, token), op.now);

export const endOperatorSession = ({ db, adminKey }: Deps, _op: Op, token: string): Promise<void> =>
  db.transact((tx) => deleteOperatorSession(tx, hashOf(adminKey, token)));

/** Under the key, so that with another one no token holds that was given for this one. */
const hashOf = (adminKey: string, token: string): Buffer => hmacSha256(Buffer.from(adminKey), token);
