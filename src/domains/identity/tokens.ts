import type { AccountId, LoginId } from '../../kernel/ids.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { DAY, MINUTE, SECOND, after } from '../../kernel/time.ts';
import { deriveKey } from '../../platform/crypto.ts';
import { looksLikeToken, readToken, signToken, type TokenKind } from '../../platform/jwt.ts';

/** Tokens of logins. Nothing of them is stored: they are signed, and hold while their login stands. */
export const ACCESS_LIFETIME = 15 * MINUTE;
export const REFRESH_LIFETIME = 30 * DAY;
/** A person has this long to say yes at GitHub. */
export const STATE_LIFETIME = 10 * MINUTE;

const ISSUER = 'freehold';

/** Each kind has a key, a `typ` and an audience of its own, so that none can be used as another. */
export type TokenKinds = { access: TokenKind; password: TokenKind; refresh: TokenKind; state: TokenKind };

export const tokenKinds = (secret: Uint8Array): TokenKinds => ({
  access: { typ: 'at+jwt', issuer: ISSUER, audience: 'api', key: deriveKey(secret, 'access token') },
  password: { typ: 'pt+jwt', issuer: ISSUER, audience: 'api', key: deriveKey(secret, 'password access token') },
  refresh: { typ: 'rt+jwt', issuer: ISSUER, audience: 'refresh', key: deriveKey(secret, 'refresh token') },
  state: { typ: 'state+jwt', issuer: ISSUER, audience: 'login', key: deriveKey(secret, 'login state') },
});

type LoginTokens = { accountId: AccountId; loginId: LoginId };

const secondsOf = (at: Date): number => Math.floor(at.getTime() / SECOND);

function issue(kind: TokenKind, op: Op, lifetimeMs: number, names: { sub: string; sid: string }): string {
  const iat = secondsOf(op.now);
  return signToken(kind, { ...names, iat, exp: iat + lifetimeMs / SECOND });
}

export const issueAccess = ({ access }: TokenKinds, op: Op, { accountId, loginId }: LoginTokens): string =>
  issue(access, op, ACCESS_LIFETIME, { sub: accountId, sid: loginId });

/** Of a login with a password, which has no refresh token. */
export const issuePasswordAccess = ({ password }: TokenKinds, op: Op, { accountId, loginId }: LoginTokens): string =>
  issue(password, op, ACCESS_LIFETIME, { sub: accountId, sid: loginId });

export const issueRefresh = ({ refresh }: TokenKinds, op: Op, { accountId, loginId }: LoginTokens): string =>
  issue(refresh, op, REFRESH_LIFETIME, { sub: accountId, sid: loginId });

/** Which login a token of that kind stands for, if it is one of ours and holds. */
export function readLoginToken(kind: TokenKind, token: string, now: Date): LoginTokens | undefined {
  const claims = readToken(kind, token, now);
  // Signed by us: the ids are the ones that `issue` wrote.
  return claims && { accountId: claims.sub as AccountId, loginId: claims.sid as LoginId };
}

/** A value that shows, when it comes back with a code, that the login began here and not long ago. */
export const issueState = ({ state }: TokenKinds, op: Op): string =>
  issue(state, op, STATE_LIFETIME, { sub: 'github', sid: newId(op, 'request', 'login state') });

/**
 * What a state is: `ours` with its id and end, `theirs` where a client has made it up to compare it itself, `stale`
 * where it pretends to be ours and is not, or not any more.
 */
export type State = { kind: 'ours'; id: string; expiresAt: Date } | { kind: 'theirs' } | { kind: 'stale' };

export function readState({ state: kind }: TokenKinds, text: string, now: Date): State {
  if (!looksLikeToken(text)) return { kind: 'theirs' };
  const claims = readToken(kind, text, now);
  return claims
    ? { kind: 'ours', id: claims.sid, expiresAt: after(new Date(0), claims.exp * SECOND) }
    : { kind: 'stale' };
}
