import type { Op } from '../../kernel/op.ts';
import { SECOND } from '../../kernel/time.ts';
import { keptSecret } from '../../platform/kept-secret.ts';
import { makeRsaKey, readRs256, readRsaKey, signRs256, type PublicJwk, type RsaKey } from '../../platform/rs256.ts';
import type { GridWorld } from './world.ts';

export const ISSUER = 'botnode-orchestrator';
export const AUDIENCE = 'botnode-grid';
const NAME = 'signing key of the grid';

/** What the grid signs: a node's session, and a certificate of its reputation. Neither can be used as the other. */
const TYPES = {
  session: { typ: 'JWT', audience: AUDIENCE },
  // Anybody may read it.
  certificate: { typ: 'cri+jwt', audience: undefined },
} as const;
export type TokenType = keyof typeof TYPES;

export type Claims = Record<string, unknown> & { sub: string };

export type Signing = {
  sign(op: Op, type: TokenType, claims: Claims, lifetimeMs: number): Promise<string>;
  /** What a token of ours says while it holds. */
  read(op: Op, type: TokenType, token: string): Promise<Record<string, unknown> | undefined>;
  publicKey(): Promise<{ jwk: PublicJwk; pem: string }>;
};

/** The key that signs for this installation: the first process that needs it makes it, and all use that one. */
export function createSigning(ground: Pick<GridWorld, 'db' | 'secret' | 'clock'>): Signing {
  const kept = keptSecret(ground, NAME);
  let known: RsaKey | undefined;
  const key = async (): Promise<RsaKey> => (known ??= readRsaKey(await kept.findOrMake(makeRsaKey)));
  return {
    async sign(op, type, claims, lifetimeMs) {
      const iat = Math.floor(op.now.getTime() / SECOND);
      const { typ, audience: aud } = TYPES[type];
      const held = { ...claims, iss: ISSUER, ...(aud && { aud }), iat, exp: iat + lifetimeMs / SECOND };
      return signRs256(await key(), typ, held);
    },
    read: async (op, type, token) => readRs256(await key(), { ...TYPES[type], issuer: ISSUER }, token, op.now),
    publicKey: async () => {
      const { jwk, pem } = await key();
      return { jwk, pem };
    },
  };
}
