import { z } from 'zod';
import type { Delivery, WebhookSecret, Webhooks } from '../../domains/webhooks/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import { ok, route, type Route } from '../contract.ts';
import { READ, Timestamp, WRITE, limitQuery } from './wire.ts';

const SecretShown = z.object({
  secret: z.string().meta({ examples: ['whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'] }),
  created_at: Timestamp,
  previous_valid_until: Timestamp.nullable().meta({
    description: 'Until then messages are also signed with the secret before this one.',
  }),
});
const DeliveryShown = z.object({
  id: z.string().meta({ description: 'The `webhook-id` header of every attempt.' }),
  type: z.string().meta({ examples: ['task.completed'] }),
  subject: z.string().meta({ description: 'The id of what the message is about: a task.' }),
  url: z.string(),
  status: z.enum(['pending', 'failed', 'delivered', 'exhausted']),
  attempts: z.int(),
  next_attempt_at: Timestamp.nullable(),
  last_response_code: z.int().nullable(),
  last_error: z.string().nullable(),
  created_at: Timestamp,
  ended_at: Timestamp.nullable(),
});
const DeliveryList = z.object({
  deliveries: z.array(DeliveryShown),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
});

const DeliveryQuery = limitQuery({ max: 100, fallback: 20 }).extend({
  before: z.string().optional().meta({ description: '`next_cursor` of the page before.' }),
});

export const webhookRoutes = ({ webhooks }: { webhooks: Webhooks }): Route[] => [
  route({
    method: 'GET',
    path: '/v1/account/webhook-secret',
    tag: 'Webhooks',
    summary: 'Show the secret that signs your webhooks',
    description:
      'Webhooks are signed by Standard Webhooks: the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. Any of its libraries verifies them with this secret.',
    access: 'account',
    scopes: WRITE,
    replies: { 200: { description: 'The secret', schema: SecretShown } },
    handle: async (op) => ok(presentSecret(await webhooks.secret(op))),
  }),
  route({
    method: 'POST',
    path: '/v1/account/webhook-secret/rotate',
    tag: 'Webhooks',
    summary: 'Replace the secret that signs your webhooks',
    description: 'For a day messages are signed with both the new secret and the one before.',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    replies: { 200: { description: 'The new secret', schema: SecretShown } },
    handle: async (op) => ok(presentSecret(await webhooks.rotateSecret(op))),
  }),
  route({
    method: 'GET',
    path: '/v1/account/webhook-deliveries',
    tag: 'Webhooks',
    summary: 'List what was sent to your webhooks',
    description: 'Newest first. Ended deliveries are kept for 30 days.',
    access: 'account',
    scopes: READ,
    query: DeliveryQuery,
    replies: { 200: { description: 'The deliveries', schema: DeliveryList } },
    handle: async (op, { query }) => {
      const before = query.before === undefined ? undefined : parseId('delivery', query.before);
      if (query.before !== undefined && !before) throw new AppError('invalid', 'before must be a next_cursor');
      const { rows, next } = await webhooks.deliveries(op, { limit: query.limit, before });
      return ok({ deliveries: rows.map(presentDelivery), has_more: next !== undefined, next_cursor: next ?? null });
    },
  }),
];

const presentSecret = ({ secret, createdAt, previousUntil }: WebhookSecret): z.input<typeof SecretShown> => ({
  secret,
  created_at: createdAt.toISOString(),
  previous_valid_until: previousUntil?.toISOString() ?? null,
});

const presentDelivery = (delivery: Delivery): z.input<typeof DeliveryShown> => ({
  id: delivery.id,
  type: delivery.type,
  subject: delivery.subject,
  url: delivery.url,
  status: delivery.state,
  attempts: delivery.attempts,
  next_attempt_at: delivery.nextAttemptAt?.toISOString() ?? null,
  last_response_code: delivery.lastResponseCode,
  last_error: delivery.lastError,
  created_at: delivery.createdAt.toISOString(),
  ended_at: delivery.endedAt?.toISOString() ?? null,
});
