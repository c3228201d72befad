import { Webhook } from 'standardwebhooks';
import { presentEndpointSecret } from './endpoint.ts';

const USER_AGENT = 'Freehold-Webhooks/1.0';
const SECRET_PREFIX = 'whsec_';

/** What is signed: a message's id, which is the same in every attempt, and the text as it is sent. */
export type Signed = { id: string; type: string; sentAt: Date; body: string };

/** The form in which receivers know a secret (Standard Webhooks, «Signature scheme»). */
export const presentSecret = (key: Uint8Array): string => SECRET_PREFIX + Buffer.from(key).toString('base64');

/** The headers by which a receiver knows who sent a message and that it is new. Several keys sign beside each other. */
export const signedHeaders = (message: Signed, keys: readonly Uint8Array[]): Record<string, string> =>
  standardHeaders(message, keys.map(presentSecret));

/**
 * What a contract signs its events with in words of its own, beside the headers of Standard Webhooks. Secrets are as
 * their endpoint knows them, the newest first.
 */
export type SignEvent = (message: Signed, secrets: readonly string[]) => Record<string, string>;

export function eventHeaders(message: Signed, keys: readonly Uint8Array[], sign: SignEvent): Record<string, string> {
  const secrets = keys.map(presentEndpointSecret);
  return { ...standardHeaders(message, secrets), ...sign(message, secrets) };
}

const standardHeaders = ({ id, sentAt, body }: Signed, secrets: readonly string[]): Record<string, string> => ({
  'content-type': 'application/json',
  'user-agent': USER_AGENT,
  'webhook-id': id,
  'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1_000)),
  'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, sentAt, body)).join(' '),
});
