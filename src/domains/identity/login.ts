import { AppError } from '../../kernel/errors.ts';
import type { AccountId, LoginId } from '../../kernel/ids.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { SECOND, after } from '../../kernel/time.ts';
import type { Database, Db, Tx } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import type { Account, OpenedBy } from './account.ts';
import { askGithub, authorizationUrl, type GithubApp, type GithubUser, type NoUser } from './github.ts';
import {
  deleteLogin,
  findLogin,
  insertLogin,
  keepNewestLogins,
  lockSubject,
  noteEmail,
  noteLogin,
  type LoginRow,
} from './login-store.ts';
import { findAccount, findIdentity, insertAccount, insertIdentity, spendChallenge } from './store.ts';
import {
  ACCESS_LIFETIME,
  REFRESH_LIFETIME,
  STATE_LIFETIME,
  issueAccess,
  issueRefresh,
  issueState,
  readLoginToken,
  readState,
  type TokenKinds,
} from './tokens.ts';

/** Logins of one account that stand at once; a newer one ends the oldest. */
const MAX_LOGINS = 100;
/** An outage of GitHub is seldom over at once. */
const AWAY_RETRY_SECONDS = 10;

export type LoginDeps = {
  db: Database;
  tokens: TokenKinds;
  /** Undefined where the operator has set up no OAuth app. */
  github: GithubApp | undefined;
  /** Does what else belongs to a new account, in the same transaction. */
  onAccountOpened: (tx: Tx, op: Op, accountId: AccountId, by: OpenedBy) => Promise<void>;
};

export type AccessToken = { token: string; expiresInSeconds: number };
export type LoggedIn = { accountId: AccountId; isNew: boolean; access: AccessToken; refreshToken: string };
export type LoginStart = { url: string; state: string; expiresInSeconds: number };

/** Where a person goes to log in, with a state that comes back with the code. Throws `unconfigured`. */
export function startGithubLogin(deps: LoginDeps, op: Op): LoginStart {
  const github = configured(deps);
  const state = issueState(deps.tokens, op);
  return { url: authorizationUrl(github, state), state, expiresInSeconds: STATE_LIFETIME / SECOND };
}

/**
 * Logs in whoever GitHub's code stands for, and opens their account if they have none. Throws `unauthenticated` for a
 * code or a state that does not hold, `forbidden` for a person whom GitHub does not let in yet, `unconfigured` where
 * the OAuth app is missing or wrong, `at_capacity` where GitHub does not answer.
 */
export async function logInWithGithub(
  deps: LoginDeps,
  op: Op,
  { code, state }: { code: string; state?: string | undefined },
): Promise<LoggedIn> {
  const github = configured(deps);
  const earlier = op.seed && (await findLogin(deps.db, newId(op, 'login')));
  if (earlier) return loggedIn(deps, op, earlier, await isFirst(deps.db, earlier));
  const given = state === undefined ? undefined : readState(deps.tokens, state, op.now);
  if (given?.kind === 'stale') throw staleState();
  const asked = await askGithub(github, code);
  if (!asked.ok) throw noUser(asked);
  const { login, isNew } = await deps.db.transact(async (tx) => {
    if (given?.kind === 'ours' && !(await spendChallenge(tx, given.id, given.expiresAt))) throw staleState();
    const found = await accountOf(deps, tx, op, asked.user);
    const until = after(op.now, REFRESH_LIFETIME);
    return { login: await keepLogin(tx, op, found.accountId, { with: 'github', until }), isNew: found.isNew };
  });
  return loggedIn(deps, op, login, isNew);
}

const configured = ({ github }: LoginDeps): GithubApp => {
  if (!github) throw new AppError('unconfigured', 'Login with GitHub is not set up on this server');
  return github;
};

const staleState = (): AppError =>
  new AppError('unauthenticated', 'The state is not one of this server, has expired or was used before: start again');

const noUser = ({ reason, says }: NoUser): AppError => {
  const cause = new Error(says);
  switch (reason) {
    case 'code':
      return new AppError('unauthenticated', 'GitHub does not accept this code: it is wrong, used or expired', {
        cause,
      });
    case 'unverified':
      return new AppError('forbidden', 'Verify your e-mail address at GitHub first', { cause });
    case 'setup':
      return new AppError('unconfigured', 'Login with GitHub is not set up rightly on this server', { cause });
    case 'away':
      return new AppError('at_capacity', 'GitHub does not answer — try again', {
        cause,
        retryAfterSeconds: AWAY_RETRY_SECONDS,
      });
  }
};

async function accountOf(
  deps: LoginDeps,
  tx: Tx,
  op: Op,
  user: GithubUser,
): Promise<{ accountId: AccountId; isNew: boolean }> {
  await lockSubject(tx, 'github', user.id);
  const known = await findIdentity(tx, 'github', user.id);
  if (!known) return { accountId: await openAccount(deps, tx, op, user), isNew: true };
  if (known.email !== user.email) await noteEmail(tx, user.id, user.email);
  return { accountId: known.account_id, isNew: false };
}

async function openAccount(deps: LoginDeps, tx: Tx, op: Op, user: GithubUser): Promise<AccountId> {
  const account: Account = { id: newId(op, 'account'), kind: 'person', name: user.name, createdAt: op.now };
  await insertAccount(tx, account);
  const { id: account_id, kind, name } = account;
  await insertIdentity(tx, {
    kind: 'github',
    subject: user.id,
    account_id,
    secret: null,
    email: user.email,
    created_at: op.now,
  });
  await deps.onAccountOpened(tx, op, account.id, 'github');
  await recordFact(tx, op, {
    type: 'account.opened',
    subject: account.id,
    accountId: account.id,
    data: { kind, name, githubId: user.id },
  });
  return account.id;
}

/** Opens a login, which tokens stand on until it ends. */
export async function keepLogin(
  tx: Tx,
  op: Op,
  accountId: AccountId,
  login: { with: 'github' | 'password'; until: Date },
): Promise<LoginRow> {
  const row: LoginRow = {
    id: newId(op, 'login'),
    account_id: accountId,
    created_at: op.now,
    expires_at: login.until,
  };
  await insertLogin(tx, row);
  await keepNewestLogins(tx, accountId, MAX_LOGINS);
  await noteLogin(tx, accountId, op.now);
  await recordFact(tx, op, { type: 'login.opened', subject: row.id, accountId, data: { with: login.with } });
  return row;
}

/** Whether a login is the one that opened its account. */
const isFirst = async (db: Db, login: LoginRow): Promise<boolean> =>
  (await findAccount(db, login.account_id))?.createdAt.getTime() === login.created_at.getTime();

const loggedIn = ({ tokens }: LoginDeps, op: Op, row: LoginRow, isNew: boolean): LoggedIn => {
  const login = { accountId: row.account_id, loginId: row.id };
  return {
    accountId: row.account_id,
    isNew,
    access: accessOf(tokens, op, login),
    refreshToken: issueRefresh(tokens, op, login),
  };
};

const accessOf = (tokens: TokenKinds, op: Op, login: { accountId: AccountId; loginId: LoginId }): AccessToken => ({
  token: issueAccess(tokens, op, login),
  expiresInSeconds: ACCESS_LIFETIME / SECOND,
});

/** A new access token for a refresh token, which stays the same. Throws `unauthenticated`. */
export async function refreshAccess(deps: LoginDeps, op: Op, refreshToken: string): Promise<AccessToken> {
  const login = readLoginToken(deps.tokens.refresh, refreshToken, op.now);
  if (!login || !(await stands(deps.db, op, login)))
    throw new AppError('unauthenticated', 'The refresh token is invalid or has expired');
  return accessOf(deps.tokens, op, login);
}

/** Whether a login has neither expired nor been ended. */
export async function stands(
  db: Db,
  op: Op,
  { accountId, loginId }: { accountId: AccountId; loginId: LoginId },
): Promise<boolean> {
  const row = await findLogin(db, loginId);
  return row?.account_id === accountId && row.expires_at > op.now;
}

/** Ends the login of a refresh token, and with it every access token made from it. What is none has ended already. */
export async function endLogin(deps: LoginDeps, op: Op, refreshToken: string): Promise<void> {
  const login = readLoginToken(deps.tokens.refresh, refreshToken, op.now);
  if (!login) return;
  const { accountId, loginId } = login;
  await deps.db.transact(async (tx) => {
    if (!(await deleteLogin(tx, loginId))) return;
    await recordFact(tx, op, { type: 'login.ended', subject: loginId, accountId, data: {} });
  });
}
