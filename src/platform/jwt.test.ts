import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { looksLikeToken, readToken, signToken, type TokenKind } from './jwt.ts';

const NOON = new Date('2026-03-01T12:00:00.000Z');
const SECONDS = NOON.getTime() / 1_000;
const kind: TokenKind = { typ: 'at+jwt', issuer: 'us', audience: 'api', key: Buffer.alloc(32, 1) };
const claims = { sub: 'someone', sid: 'lgn_1', iat: SECONDS, exp: SECONDS + 900 };
const token = signToken(kind, claims);
const [header = '', payload = '', signature = ''] = token.split('.');

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (part: string): Record<string, unknown> => JSON.parse(Buffer.from(part, 'base64url').toString());
const hs256 = (signed: string, key: Uint8Array = kind.key): string =>
  createHmac('sha256', key).update(signed).digest('base64url');
const forged = (head: unknown, body: unknown, key?: Uint8Array): string => {
  const signed = `${encode(head)}.${encode(body)}`;
  return `${signed}.${hs256(signed, key)}`;
};
const said = { iss: 'us', aud: 'api', ...claims };

describe('a token', () => {
  test('is a JWT as RFC 7519 has it, and is read by whoever has its key', () => {
    expect(decode(header)).toEqual({ alg: 'HS256', typ: 'at+jwt' });
    expect(decode(payload)).toEqual(said);
    expect(signature).toBe(hs256(`${header}.${payload}`));
    expect(readToken(kind, token, NOON)).toEqual(said);
    expect(looksLikeToken(token)).toBe(true);
  });

  test('of RFC 7515, appendix A.1, has the signature that stands there', () => {
    const key = Buffer.from(
      'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
      'base64url',
    );
    const signed =
      'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ';
    expect(hs256(signed, key)).toBe('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk');
  });

  test('holds until the second at which it expires, and not from then on', () => {
    const at = (seconds: number) => readToken(kind, token, new Date((SECONDS + seconds) * 1_000));
    expect(at(899.999)).toBeDefined();
    expect(at(900)).toBeUndefined();
    expect(at(1e9)).toBeUndefined();
  });

  test('with any character changed is refused', () => {
    for (let at = 0; at < token.length; at++) {
      if (token[at] === '.') continue;
      const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
      expect([at, readToken(kind, changed, NOON)]).toEqual([at, undefined]);
    }
  });
});

describe('is refused:', () => {
  const other = Buffer.alloc(32, 2);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const rs256 = (): string => {
    const signed = `${encode({ alg: 'RS256', typ: 'at+jwt' })}.${payload}`;
    return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`;
  };
  const without = (name: keyof typeof said) => ({ ...said, [name]: undefined });

  test.each<[string, string]>([
    ['alg none without a signature', `${encode({ alg: 'none', typ: 'at+jwt' })}.${payload}.`],
    ['alg none with a signature', `${encode({ alg: 'none', typ: 'at+jwt' })}.${payload}.${signature}`],
    ['alg None, signed with our key', forged({ alg: 'None', typ: 'at+jwt' }, said)],
    ['another algorithm of the same key', forged({ alg: 'HS512', typ: 'at+jwt' }, said)],
    ['RS256 with a key of the forger', rs256()],
    [
      'a key that the token brings along',
      forged({ alg: 'HS256', typ: 'at+jwt', jwk: { kty: 'oct', k: 'AgIC' } }, said),
    ],
    ['a key id that leads elsewhere', forged({ alg: 'HS256', typ: 'at+jwt', kid: '../../dev/null' }, said)],
    ['another key', forged({ alg: 'HS256', typ: 'at+jwt' }, said, other)],
    ['an empty key', forged({ alg: 'HS256', typ: 'at+jwt' }, said, Buffer.alloc(0))],
    ['another typ', forged({ alg: 'HS256', typ: 'rt+jwt' }, said)],
    ['no typ', forged({ alg: 'HS256' }, said)],
    ['another audience', forged({ alg: 'HS256', typ: 'at+jwt' }, { ...said, aud: 'refresh' })],
    ['a list of audiences', forged({ alg: 'HS256', typ: 'at+jwt' }, { ...said, aud: ['api', 'refresh'] })],
    ['no audience', forged({ alg: 'HS256', typ: 'at+jwt' }, without('aud'))],
    ['another issuer', forged({ alg: 'HS256', typ: 'at+jwt' }, { ...said, iss: 'them' })],
    ['no expiry', forged({ alg: 'HS256', typ: 'at+jwt' }, without('exp'))],
    ['an expiry that is no number', forged({ alg: 'HS256', typ: 'at+jwt' }, { ...said, exp: 'never' })],
    ['an expiry in the past', forged({ alg: 'HS256', typ: 'at+jwt' }, { ...said, exp: SECONDS - 1 })],
    ['the payload of another token', `${header}.${encode({ ...said, sub: 'somebody else' })}.${signature}`],
    ['a signature that is cut off', `${header}.${payload}.${signature.slice(0, -4)}`],
    ['a signature with padding', `${token}=`],
    ['a signature with something behind it', `${token}AAAA`],
    ['a fourth part', `${token}.${signature}`],
    ['two parts', `${header}.${payload}`],
    ['white space around it', ` ${token} `],
    ['nothing', ''],
    ['something very long', `${header}.${'A'.repeat(100_000)}.${signature}`],
  ])('%s', (_what, text) => {
    expect(readToken(kind, text, NOON)).toBeUndefined();
  });

  test('a token of another kind, either way', () => {
    const refresh: TokenKind = { typ: 'rt+jwt', issuer: 'us', audience: 'refresh', key: other };
    expect(readToken(kind, signToken(refresh, claims), NOON)).toBeUndefined();
    expect(readToken(refresh, token, NOON)).toBeUndefined();
    // Each of the three marks is enough to tell kinds apart.
    for (const differs of [{ typ: 'x' }, { audience: 'x' }, { issuer: 'x' }, { key: other }])
      expect(readToken({ ...kind, ...differs }, token, NOON)).toBeUndefined();
  });
});
