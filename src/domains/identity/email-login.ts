import { AppError } from '../../kernel/errors.ts';
import type { AccountId } from '../../kernel/ids.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { SECOND, after } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import { MAX_NAME_LENGTH, MIN_NAME_LENGTH, type Account } from './account.ts';
import { keepLogin, type AccessToken, type LoginDeps } from './login.ts';
import { findLogin, lockSubject, type LoginRow } from './login-store.ts';
import { hashPassword, normaliseEmail, verifyPassword } from './password.ts';
import { findIdentity, insertAccount, insertIdentity } from './store.ts';
import { ACCESS_LIFETIME, issuePasswordAccess } from './tokens.ts';

export type EmailAttempt = { email: string; password: string };
export type EmailLogin = { accountId: AccountId; access: AccessToken };

type Deps = Pick<LoginDeps, 'db' | 'tokens' | 'onAccountOpened'>;

const TAKEN = 'This e-mail address already belongs to an account';

/**
 * Opens an account for an e-mail address and a password: the address is its whole identity, and nobody has proved that
 * it is theirs. Throws `conflict` where the address opens an account already, whoever has claimed it.
 */
export async function registerByEmail(deps: Deps, op: Op, attempt: EmailAttempt): Promise<EmailLogin> {
  const earlier = await findEarlier(deps, op, attempt);
  if (earlier) return earlier;
  const email = normaliseEmail(attempt.email);
  if (await findIdentity(deps.db, 'password', email)) throw new AppError('conflict', TAKEN);
  const secret = await hashPassword(attempt.password);
  const login = await deps.db.transact(async (tx) => {
    await lockSubject(tx, 'password', email);
    const accountId = await openAccount(deps, tx, op, { email, secret });
    return keepLogin(tx, op, accountId, { with: 'password', until: after(op.now, ACCESS_LIFETIME) });
  });
  return loggedIn(deps, op, login);
}

/** A token for 15 minutes; for more one logs in again. Throws `unauthenticated`. */
export async function logInByEmail(deps: Deps, op: Op, attempt: EmailAttempt): Promise<EmailLogin> {
  const accountId = await verifyPassword(deps.db, attempt);
  if (!accountId) throw new AppError('unauthenticated', 'Wrong e-mail address or password');
  const until = after(op.now, ACCESS_LIFETIME);
  const login = await deps.db.transact((tx) => keepLogin(tx, op, accountId, { with: 'password', until }));
  return loggedIn(deps, op, login);
}

/** What the same request has done before, where it is carried out once more under its idempotency key. */
async function findEarlier(deps: Deps, op: Op, attempt: EmailAttempt): Promise<EmailLogin | undefined> {
  const login = op.seed && (await findLogin(deps.db, newId(op, 'login')));
  // The name of a request opens nothing: whoever sends it once more has the same password.
  if (!login || (await verifyPassword(deps.db, attempt)) !== login.account_id) return undefined;
  return loggedIn(deps, op, login);
}

async function openAccount(
  deps: Deps,
  tx: Tx,
  op: Op,
  { email, secret }: { email: string; secret: string },
): Promise<AccountId> {
  const account: Account = { id: newId(op, 'account'), kind: 'person', name: nameOf(email), createdAt: op.now };
  await insertAccount(tx, account);
  const { id: account_id, kind, name } = account;
  const added = await insertIdentity(tx, { kind: 'password', subject: email, account_id, secret, created_at: op.now });
  if (!added) throw new AppError('conflict', TAKEN);
  await deps.onAccountOpened(tx, op, account.id, 'email');
  await recordFact(tx, op, {
    type: 'account.opened',
    subject: account.id,
    accountId: account.id,
    data: { kind, name, with: 'email' },
  });
  return account.id;
}

/** What stands before the @, as far as a name may hold it. */
function nameOf(email: string): string {
  const name = email
    .slice(0, email.lastIndexOf('@'))
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, MAX_NAME_LENGTH);
  return name.length < MIN_NAME_LENGTH ? 'person' : name;
}

const loggedIn = ({ tokens }: Deps, op: Op, { id: loginId, account_id: accountId }: LoginRow): EmailLogin => ({
  accountId,
  access: {
    token: issuePasswordAccess(tokens, op, { accountId, loginId }),
    expiresInSeconds: ACCESS_LIFETIME / SECOND,
  },
});
