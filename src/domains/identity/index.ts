import { AppError } from '../../kernel/errors.ts';
import type { AccountId, KeyId, NodeId } from '../../kernel/ids.ts';
import type { AccountActor, AccountOp, Op } from '../../kernel/op.ts';
import { MINUTE, after } from '../../kernel/time.ts';
import type { Database, Tx } from '../../platform/db.ts';
import type { RequestLimits } from '../../platform/limits.ts';
import { authenticate, heldOrNot, type Credential } from './authenticate.ts';
import { challengeKeys, issueChallenge } from './challenge.ts';
import { claim, linkClaim, type ClaimRequest } from './claim.ts';
import type { OpenedBy } from './account.ts';
import { logInByEmail, registerByEmail, type EmailAttempt } from './email-login.ts';
import type { GithubApp } from './github.ts';
import { holdAccount, releaseAccount } from './hold.ts';
import type { KeyWish } from './key.ts';
import { listKeys, mintKey, revokeKey } from './keys.ts';
import { deleteExpiredLogins, findProfile } from './login-store.ts';
import { endLogin, logInWithGithub, refreshAccess, startGithubLogin } from './login.ts';
import { adoptNodeKey, earlierNodeKey, mintNodeKey, openForNode, type NodeKey } from './node-account.ts';
import { endOperatorSession, openOperatorSession, operatorSessionStands } from './operator.ts';
import { deleteExpiredOperatorSessions } from './operator-store.ts';
import { verifyPassword } from './password.ts';
import { register } from './register.ts';
import { deleteExpired, findAccount, findOverview } from './store.ts';
import { tokenKinds } from './tokens.ts';

export { MAX_NAME_LENGTH, MIN_NAME_LENGTH, NAME_PATTERN } from './account.ts';
export type { Account, AccountKind, AccountOverview, Profile } from './account.ts';
export type { Credential } from './authenticate.ts';
export { CHALLENGE_TIME } from './challenge.ts';
export type { Challenge } from './challenge.ts';
export type { Claimed, ClaimLink, ClaimRequest } from './claim.ts';
export { MAX_HOLD_REASON_LENGTH, type AccountHold } from './hold.ts';
export type { EmailLogin } from './email-login.ts';
export { MAX_GITHUB_REPLY_BYTES } from './github.ts';
export { KEY_FORMATS, MAX_KEY_NAME_LENGTH, SCOPES } from './key.ts';
export type { Key, KeyFormat, KeyWish, MintedKey } from './key.ts';
export type { AccessToken, LoggedIn, LoginStart } from './login.ts';
export { OPERATOR_SESSION_LASTS } from './operator.ts';
export { MAX_EMAIL_LENGTH, MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from './password.ts';
export type { PuzzleKind } from './puzzles.ts';
export type { Registration } from './register.ts';

/** Processes whose clocks differ by less than this agree on which challenges are spent. */
const CLOCK_SKEW = 10 * MINUTE;

export type IdentityDeps = {
  db: Database;
  limits: RequestLimits;
  /** Master secret of this installation. */
  secret: Uint8Array;
  /** The operator's credential. */
  adminKey: string;
  /** The OAuth app that people log in with, where the operator has set one up. */
  github?: GithubApp | undefined;
  /** Does what else belongs to a new account, in the transaction that opens it. */
  onAccountOpened: (tx: Tx, op: Op, accountId: AccountId, by: OpenedBy) => Promise<void>;
};

export type Identity = ReturnType<typeof createIdentity>;

/** Accounts, how they prove who they are, their keys and their logins. */
export function createIdentity(deps: IdentityDeps) {
  const { db, limits, secret, adminKey, github, onAccountOpened } = deps;
  const tokens = tokenKinds(secret);
  const loginDeps = { db, tokens, github, onAccountOpened };
  const registerDeps = { db, limits, onAccountOpened, challengeKeys: challengeKeys(secret) };
  return {
    challenge: (op: Op) => issueChallenge(registerDeps.challengeKeys, op),
    register: (op: Op, request: { token: string; answer: string; name: string }) => register(registerDeps, op, request),
    authenticate: (op: Op, credential: Credential) => authenticate({ db, adminKey, tokens }, op, credential),
    /** Of who acts by a credential that another domain reads: with whether it is suspended. */
    heldOrNot: (actor: AccountActor) => heldOrNot(db, actor),
    startGithubLogin: (op: Op) => startGithubLogin(loginDeps, op),
    logInWithGithub: (op: Op, request: { code: string; state?: string | undefined }) =>
      logInWithGithub(loginDeps, op, request),
    registerByEmail: (op: Op, attempt: EmailAttempt) => registerByEmail(loginDeps, op, attempt),
    logInByEmail: (op: Op, attempt: EmailAttempt) => logInByEmail(loginDeps, op, attempt),
    refreshAccess: (op: Op, refreshToken: string) => refreshAccess(loginDeps, op, refreshToken),
    endLogin: (op: Op, refreshToken: string) => endLogin(loginDeps, op, refreshToken),
    /** The caller as a person. */
    profile: (op: AccountOp) => found(findProfile(db, op.actor.accountId)),
    /** The caller's account. */
    describe: (op: AccountOp) => found(findOverview(db, op.actor.accountId)),
    /** Any account, for the platform's own purposes. Throws `not_found`. */
    account: (id: AccountId) => found(findAccount(db, id)),
    hold: (op: Op, id: AccountId, reason: string) => holdAccount(db, op, id, reason),
    release: (op: Op, id: AccountId) => releaseAccount(db, op, id),
    mintKey: (op: AccountOp, wish: KeyWish) => mintKey(db, op, wish),
    listKeys: (op: AccountOp) => listKeys(db, op),
    revokeKey: (op: AccountOp, id: KeyId) => revokeKey(db, op, id),
    /** Opens the account that a node of the grid belongs to. */
    openForNode: (tx: Tx, op: Op, nodeId: NodeId) => openForNode({ onAccountOpened }, tx, op, nodeId),
    /** The key that a node gets when it is verified. */
    mintNodeKey: (tx: Tx, op: Op, accountId: AccountId, nodeId: NodeId) => mintNodeKey(tx, op, accountId, nodeId),
    /** The key that the same request has made before, under its idempotency key. */
    earlierNodeKey: (op: Op, accountId: AccountId, nodeId: NodeId) => earlierNodeKey(db, op, accountId, nodeId),
    /** Takes over a node's key that another system made. */
    adoptNodeKey: (tx: Tx, op: Op, key: NodeKey) => adoptNodeKey(tx, op, key),
    linkClaim: (op: AccountOp) => linkClaim(db, op),
    claim: (op: Op, request: ClaimRequest) => claim(db, op, request),
    /** What lets the operator's browser look. */
    operator: {
      signIn: (op: Op, key: string) => openOperatorSession({ db, adminKey }, op, key),
      stands: (op: Op, token: string) => operatorSessionStands({ db, adminKey }, op, token),
      signOut: (op: Op, token: string) => endOperatorSession({ db, adminKey }, op, token),
    },
    verifyPassword: (_op: Op, attempt: { email: string; password: string }) => verifyPassword(db, attempt),
    /** Removes challenges, claim links and logins that have expired; a sweep of the platform calls it. */
    forgetExpired: (op: Op) => db.transact((tx) => forgetExpired(tx, after(op.now, -CLOCK_SKEW))),
  };
}

const forgetExpired = async (tx: Tx, before: Date): Promise<number> =>
  (await deleteExpired(tx, before)) +
  (await deleteExpiredLogins(tx, before)) +
  (await deleteExpiredOperatorSessions(tx, before));

async function found<Row>(row: Promise<Row | undefined>): Promise<Row> {
  const account = await row;
  if (!account) throw new AppError('not_found', 'Account not found');
  return account;
}
