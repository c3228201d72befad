import { z } from 'zod';
import type { Grid, NodeOp } from '../../domains/grid/index.ts';
import type { Delivery, Endpoint, Webhooks } from '../../domains/webhooks/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { DAY, MINUTE, after } from '../../kernel/time.ts';
import { ok, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { EVENTS, NOTICE, testEvent } from './events.ts';
import { naive } from './present.ts';
import { Timestamp, wholeNumber } from './wire.ts';

const TAG = 'Grid: webhooks';
const CHANGE_LIMIT = { name: 'grid-webhooks', max: 5, windowMs: MINUTE };
const MAX_URL_LENGTH = 500;
const MAX_EVENTS = 50;
const MAX_EVENT_LENGTH = 100;
const MAX_DELIVERIES = 100;
const USUAL_DELIVERIES = 20;
const KNOWN: readonly string[] = [...EVENTS, NOTICE];
const STATES = ['pending', 'delivered', 'failed', 'exhausted'] as const;
const TEST = 'webhook.test';
/** What was lost before that is replayed one by one. */
const REPLAYED_BACK_TO = 30 * DAY;

const EXAMPLE = `import hashlib, hmac

def verify(body: bytes, signature: str, timestamp: str, secret: str) -> bool:
    expected = hmac.new(secret.encode(), f"{timestamp}.{body.decode()}".encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)

# signature: X-BotNode-Signature, timestamp: X-BotNode-Timestamp. The libraries of Standard Webhooks verify it too.
`;

const EventName = z.string().max(MAX_EVENT_LENGTH);
const Subscription = z.object({
  url: z
    .string()
    .min(1)
    .max(MAX_URL_LENGTH)
    .meta({ examples: ['https://your-agent.example/webhook'] }),
  events: z
    .array(EventName)
    .min(1)
    .max(MAX_EVENTS)
    .meta({
      description: KNOWN.join(', '),
      examples: [['task.completed', 'escrow.settled', 'escrow.refunded']],
    }),
});
const WebhookParams = z.object({ id: z.string() });
const DeliveryParams = WebhookParams.extend({ delivery_id: z.string() });
const DeliveryQuery = z.object({
  status: z.enum(STATES).optional(),
  limit: wholeNumber({ min: 1, max: MAX_DELIVERIES }).default(USUAL_DELIVERIES),
});

const Secret = z.string().meta({ description: 'Shown only this once.', examples: [`whsec_${'0a'.repeat(32)}`] });
const WebhookShown = z.object({
  id: z.string().meta({ examples: ['sub_0198a6c0c0de7c3e9d2f6a5b4c3d2e1f'] }),
  url: z.string(),
  events: z.array(z.string()),
  active: z.boolean().meta({ description: 'False once every delivery has failed for days.' }),
  disabled_reason: z.string().nullable(),
  disabled_at: Timestamp.nullable(),
  failing_since: Timestamp.nullable(),
  created_at: Timestamp,
});
const NewWebhookShown = WebhookShown.extend({ secret: Secret, verification_example: z.string() });
const RotatedShown = z.object({
  id: z.string(),
  secret: Secret,
  previous_valid_until: Timestamp.nullable().meta({
    description: 'Until then the secret before signs too, in `X-BotNode-Signature-Previous` and `webhook-signature`.',
  }),
});
const RemovedShown = z.object({ status: z.literal('deleted'), webhook_id: z.string() });
const ReplayedShown = z.object({ status: z.literal('replayed'), webhook_id: z.string(), replayed: z.int() });
const DeliveryShown = z.object({
  id: z.string(),
  event_id: z.string().nullable().meta({ description: 'The id of the event, the same in every attempt and replay.' }),
  event_type: z.string(),
  status: z.enum(STATES),
  attempts: z.int(),
  last_response_code: z.int().nullable(),
  last_error: z.string().nullable(),
  next_attempt_at: Timestamp.nullable(),
  created_at: Timestamp,
});

type Domains = { grid: Grid; webhooks: Pick<Webhooks, 'endpoints' | 'urlProblem'> };

export const webhookRoutes = (domains: Domains): Route[] => [...ownWebhooks(domains), ...deliveryRoutes(domains)];

const ownWebhooks = ({ grid, webhooks: { endpoints, urlProblem } }: Domains): Route[] => [
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/webhooks',
    tag: TAG,
    summary: 'Be told of events',
    description: `At most five webhooks for a node. Messages are signed in X-BotNode-Signature and by Standard Webhooks; a delivery is tried four times: at once and after 1, 5 and 30 minutes. \`${NOTICE}\` tells that another webhook of yours was disabled.`,
    nodeLimit: CHANGE_LIMIT,
    idempotent: true,
    body: Subscription,
    fails: ['invalid'],
    replies: { 200: { description: 'The webhook, with its secret', schema: NewWebhookShown } },
    handle: async (op, { body }) => {
      checkUrl(urlProblem(body.url));
      checkEvents(body.events);
      const { secret, ...endpoint } = await endpoints.add(op, body);
      return ok({ ...presentWebhook(endpoint), secret, verification_example: EXAMPLE });
    },
  }),
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/webhooks',
    tag: TAG,
    summary: 'List your webhooks',
    replies: { 200: { description: 'Without their secrets', schema: z.array(WebhookShown) } },
    handle: async (op) => ok((await endpoints.list(op)).map(presentWebhook)),
  }),
  nodeRoute(grid, {
    method: 'DELETE',
    path: '/v1/webhooks/:id',
    tag: TAG,
    summary: 'Be told no more',
    params: WebhookParams,
    fails: ['not_found'],
    replies: { 200: { description: 'It is gone', schema: RemovedShown } },
    handle: async (op, { params }) => {
      const { id } = await endpoints.remove(op, params.id);
      return ok({ status: 'deleted', webhook_id: id } satisfies z.input<typeof RemovedShown>);
    },
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/webhooks/:id/enable',
    tag: TAG,
    summary: 'Take up again a webhook that was disabled',
    params: WebhookParams,
    fails: ['not_found'],
    replies: { 200: { description: 'It is active', schema: WebhookShown } },
    handle: async (op, { params }) => ok(presentWebhook(await endpoints.enable(op, params.id))),
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/webhooks/:id/rotate-secret',
    tag: TAG,
    summary: 'Replace the secret of a webhook',
    nodeLimit: CHANGE_LIMIT,
    idempotent: true,
    params: WebhookParams,
    fails: ['not_found'],
    replies: { 200: { description: 'The new secret', schema: RotatedShown } },
    handle: async (op, { params }) => {
      const { secret, previousUntil } = await endpoints.rotateSecret(op, params.id);
      return ok({ id: params.id, secret, previous_valid_until: previousUntil && naive(previousUntil) });
    },
  }),
];

const deliveryRoutes = ({ grid, webhooks: { endpoints } }: Domains): Route[] => [
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/webhooks/:id/deliveries',
    tag: TAG,
    summary: 'List what was sent to a webhook',
    description: 'Newest first. Ended deliveries are kept for 30 days.',
    params: WebhookParams,
    query: DeliveryQuery,
    fails: ['not_found'],
    replies: { 200: { description: 'The deliveries', schema: z.array(DeliveryShown) } },
    handle: async (op, { params, query }) => {
      const found = await endpoints.deliveries(op, params.id, { state: query.status, limit: query.limit });
      return ok(found.map(presentDelivery));
    },
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/webhooks/:id/test',
    tag: TAG,
    summary: 'Send a message to try a webhook out',
    nodeLimit: { ...CHANGE_LIMIT, name: 'grid-webhook-test' },
    idempotent: true,
    params: WebhookParams,
    body: z.object({ event: EventName.optional().meta({ examples: ['task.completed'] }) }).default({}),
    fails: ['not_found', 'conflict'],
    replies: { 200: { description: 'It is on its way', schema: DeliveryShown } },
    handle: async (op, { params, body: { event } }) => {
      if (event !== undefined) checkEvents([event]);
      return ok(presentDelivery(await endpoints.send(op, params.id, tryOut(op, params.id, event ?? TEST))));
    },
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/webhooks/:id/deliveries/:delivery_id/replay',
    tag: TAG,
    summary: 'Send a message once more',
    idempotent: true,
    params: DeliveryParams,
    fails: ['not_found', 'conflict'],
    replies: { 200: { description: 'It is on its way', schema: DeliveryShown } },
    handle: async (op, { params }) => ok(presentDelivery(await endpoints.replay(op, params.id, params.delivery_id))),
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/webhooks/:id/replay',
    tag: TAG,
    summary: 'Send once more everything that was given up',
    description: 'What none of its deliveries has brought, of the last 30 days, up to 1,000 messages.',
    idempotent: true,
    params: WebhookParams,
    fails: ['not_found', 'conflict'],
    replies: { 200: { description: 'They are on their way', schema: ReplayedShown } },
    handle: async (op, { params }) => {
      const replayed = await endpoints.replayExhausted(op, params.id, after(op.now, -REPLAYED_BACK_TO));
      return ok({ status: 'replayed', webhook_id: params.id, replayed } satisfies z.input<typeof ReplayedShown>);
    },
  }),
];

/** In the words that this contract's clients know. */
function checkUrl(problem: string | undefined): void {
  if (problem === undefined) return;
  throw new AppError('invalid', problem === 'must use https' ? 'Webhook URL must use HTTPS' : `Webhook URL ${problem}`);
}

function checkEvents(events: readonly string[]): void {
  const unknown = events.filter((event) => !KNOWN.includes(event));
  if (unknown.length > 0) throw new AppError('invalid', `Invalid events: ${unknown.join(', ')}`);
}

const tryOut = (op: NodeOp, webhookId: string, type: string) =>
  testEvent(`test ${op.requestId} ${op.now.toISOString()}`, op.now, webhookId, type);

const presentWebhook = ({ id, url, events, disabled, ...rest }: Endpoint): z.input<typeof WebhookShown> => ({
  id,
  url,
  events,
  active: disabled === null,
  disabled_reason: disabled && disabled.reason,
  disabled_at: disabled && naive(disabled.at),
  failing_since: rest.failingSince && naive(rest.failingSince),
  created_at: naive(rest.createdAt),
});

const presentDelivery = (delivery: Delivery): z.input<typeof DeliveryShown> => ({
  id: delivery.id,
  event_id: delivery.eventId,
  event_type: delivery.type,
  status: delivery.state,
  attempts: delivery.attempts,
  last_response_code: delivery.lastResponseCode,
  last_error: delivery.lastError,
  next_attempt_at: delivery.nextAttemptAt && naive(delivery.nextAttemptAt),
  created_at: naive(delivery.createdAt),
});
