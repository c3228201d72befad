import { createPrivateKey, createPublicKey, generateKeyPair, sign, verify, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { sha256 } from './crypto.ts';
import { looksLikeToken } from './jwt.ts';

const KEY_BITS = 2_048;
/** Tokens longer than this are none of ours. */
const MAX_TOKEN_LENGTH = 4_096;
const ALGORITHM = 'sha256';

/** A public key as others read it (RFC 7517). */
export type PublicJwk = { kty: 'RSA'; n: string; e: string; alg: 'RS256'; use: 'sig'; kid: string };

/** A key whose tokens anybody can check. */
export type RsaKey = { kid: string; private: KeyObject; public: KeyObject; jwk: PublicJwk; pem: string };

export type SignedClaims = Record<string, unknown> & { iss: string; aud?: string; exp: number };

/** One kind of token: its `typ`, who makes it, and for whom, where it is not for everybody (RFC 8725). */
export type SignedKind = { typ: string; issuer: string; audience: string | undefined };

/** A new private key as PKCS #8. */
export async function makeRsaKey(): Promise<Buffer> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: KEY_BITS });
  return privateKey.export({ type: 'pkcs8', format: 'der' });
}

export function readRsaKey(pkcs8: Buffer): RsaKey {
  const key = createPrivateKey({ key: pkcs8, type: 'pkcs8', format: 'der' });
  const publicKey = createPublicKey(key);
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' });
  // The thumbprint of the key (RFC 7638).
  const kid = sha256(JSON.stringify({ e, kty: 'RSA', n })).toString('base64url');
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  return { kid, private: key, public: publicKey, pem, jwk: { kty: 'RSA', n, e, alg: 'RS256', use: 'sig', kid } };
}

/** A JSON Web Token (RFC 7519) with a signature that anybody can check. */
export function signRs256(key: RsaKey, typ: string, claims: SignedClaims): string {
  const signed = `${headerOf(key, typ)}.${encode(claims)}`;
  return `${signed}.${sign(ALGORITHM, Buffer.from(signed), key.private).toString('base64url')}`;
}

/** The claims of a token of this kind that this key has signed and that holds at `now`; undefined for any other text. */
export function readRs256(
  key: RsaKey,
  { typ, issuer, audience }: SignedKind,
  token: string,
  now: Date,
): SignedClaims | undefined {
  if (token.length > MAX_TOKEN_LENGTH || !looksLikeToken(token)) return undefined;
  const [header = '', payload = '', signature = ''] = token.split('.');
  // We write one header for a kind, so no other is read: the token has no say in how it is checked.
  if (header !== headerOf(key, typ)) return undefined;
  if (!verify(ALGORITHM, Buffer.from(`${header}.${payload}`), key.public, Buffer.from(signature, 'base64url')))
    return undefined;
  // Signed by us, so it has the shape that `signRs256` gave it.
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as SignedClaims;
  if (claims.iss !== issuer || claims.aud !== audience) return undefined;
  return claims.exp * 1_000 > now.getTime() ? claims : undefined;
}

/** Whether a text says of itself that it was signed with such a key, whoever has signed it. */
export function saysRs256(token: string): boolean {
  if (token.length > MAX_TOKEN_LENGTH || !looksLikeToken(token)) return false;
  const header = Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString();
  return header.includes('"RS256"');
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const headerOf = ({ kid }: RsaKey, typ: string): string => encode({ alg: 'RS256', typ, kid });
