import type { Actor, Op } from '../kernel/op.ts';
import type { Authenticate, Credentials } from './contract.ts';

/** A secret that a caller has sent, and whether it came as `Bearer`. */
type Credential = { secret: string; bearer: boolean };

const BEARER = /^Bearer +(.+)$/i;

/**
 * Reads the credential of every contract alike: raw in `Authorization`, as `Bearer` there, or in `X-API-KEY`. What it
 * is (a key, an access token, the operator's key) and who holds it, `recognise` knows.
 */
export const authenticator =
  (recognise: (op: Op, credential: Credential) => Promise<Actor>): Authenticate =>
  async (credentials, op) => {
    const credential = readCredential(credentials);
    return credential ? recognise(op, credential) : { kind: 'anonymous' };
  };

function readCredential({ authorization, apiKey }: Credentials): Credential | undefined {
  if (!authorization) return apiKey ? { secret: apiKey.trim(), bearer: false } : undefined;
  const bearer = BEARER.exec(authorization)?.[1];
  return bearer ? { secret: bearer.trim(), bearer: true } : { secret: authorization.trim(), bearer: false };
}
