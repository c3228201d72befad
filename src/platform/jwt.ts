import { timingSafeEqual } from 'node:crypto';
import { hmacSha256 } from './crypto.ts';

/** Tokens longer than this are none of ours. */
const MAX_TOKEN_LENGTH = 2_048;
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** One kind of JSON Web Token (RFC 7519): HS256 under a key of its own, and its own `typ` and audience (RFC 8725). */
export type TokenKind = { typ: string; issuer: string; audience: string; key: Uint8Array };

/** What a token says beside its kind: of whom, in which session, from and until which second. */
export type Claims = { sub: string; sid: string; iat: number; exp: number };

/** Whether a text could be a token, of whatever kind and whoever made it. */
export const looksLikeToken = (text: string): boolean => TOKEN.test(text);

export function signToken(kind: TokenKind, claims: Claims): string {
  const signed = `${headerOf(kind)}.${encode({ iss: kind.issuer, aud: kind.audience, ...claims })}`;
  return `${signed}.${signatureOf(kind, signed).toString('base64url')}`;
}

/** The claims of a token of this kind that we made and that holds at `now`; undefined for any other text. */
export function readToken(kind: TokenKind, token: string, now: Date): Claims | undefined {
  if (token.length > MAX_TOKEN_LENGTH || !looksLikeToken(token)) return undefined;
  const [header = '', payload = '', signature = ''] = token.split('.');
  // We write one header for a kind, so no other is read: the token has no say in how it is checked.
  if (header !== headerOf(kind)) return undefined;
  const expected = signatureOf(kind, `${header}.${payload}`);
  const given = Buffer.from(signature, 'base64url');
  if (given.toString('base64url') !== signature || given.length !== expected.length) return undefined;
  if (!timingSafeEqual(given, expected)) return undefined;
  // Signed by us, so it has the shape that `signToken` gave it.
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Claims & { iss: unknown; aud: unknown };
  if (claims.iss !== kind.issuer || claims.aud !== kind.audience) return undefined;
  return claims.exp * 1_000 > now.getTime() ? claims : undefined;
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const headerOf = ({ typ }: TokenKind): string => encode({ alg: 'HS256', typ });
const signatureOf = ({ key }: TokenKind, signed: string): Buffer => hmacSha256(key, signed);
