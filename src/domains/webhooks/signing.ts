import { Webhook } from 'standardwebhooks';
import type { DeliveryId } from './delivery.ts';

const USER_AGENT = 'Freehold-Webhooks/1.0';
const SECRET_PREFIX = 'whsec_';

/** The form in which receivers know a secret (Standard Webhooks, «Signature scheme»). */
export const presentSecret = (key: Uint8Array): string => SECRET_PREFIX + Buffer.from(key).toString('base64');

/** The headers by which a receiver knows who sent a message and that it is new. Several keys sign beside each other. */
export function signedHeaders(id: DeliveryId, sentAt: Date, body: string, keys: Uint8Array[]): Record<string, string> {
  return {
    'content-type': 'application/json',
    'user-agent': USER_AGENT,
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1_000)),
    'webhook-signature': keys.map((key) => new Webhook(presentSecret(key)).sign(id, sentAt, body)).join(' '),
  };
}
