import { deriveKey, hmacSha256 } from '../../platform/crypto.ts';
import type { Sandbox } from './sandbox.ts';

const TOKEN_LENGTH = 40;

export type Tokens = {
  accessToken(sandbox: Pick<Sandbox, 'id'>): string;
  trafficToken(sandbox: Pick<Sandbox, 'id'>): string;
};

/** A sandbox's tokens follow from its id and the installation's secret: nobody stores them, and no two share one. */
export function createTokens(secret: Uint8Array): Tokens {
  const [access, traffic] = [deriveKey(secret, 'sandbox access token'), deriveKey(secret, 'sandbox traffic token')];
  const tokenOf = (key: Buffer, { id }: Pick<Sandbox, 'id'>) =>
    hmacSha256(key, id).toString('hex').slice(0, TOKEN_LENGTH);
  return {
    accessToken: (sandbox) => tokenOf(access, sandbox),
    trafficToken: (sandbox) => tokenOf(traffic, sandbox),
  };
}
