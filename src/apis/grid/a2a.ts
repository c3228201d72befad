import { z } from 'zod';
import { nearestTck, shortDecimals, type Discovered, type Grid, type Watched } from '../../domains/grid/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { naive } from './present.ts';
import { Amount, LOOK_LIMIT, Timestamp, Uuid, wholeNumber } from './wire.ts';

const TAG = 'Grid: A2A';
const SEND_LIMIT = { name: 'grid-a2a-send', max: 30, windowMs: MINUTE };
const MAX_SKILL_ID_LENGTH = 100;
const MAX_CALLBACK_LENGTH = 500;
const MAX_CATEGORY_LENGTH = 50;
/** Skills that one look shows; who asks for more gets as many. */
const MAX_SKILLS = 200;
const DEFAULT_SKILLS = 50;
const MAX_ASKED = 1_000_000;
const CARD_VERSION = '1.0.0';
const ANYTHING = { type: 'object' };

const Schema = z.looseObject({}).meta({ description: 'A JSON Schema.', examples: [ANYTHING] });
const Sent = z.object({
  skill_id: z.string().max(MAX_SKILL_ID_LENGTH),
  input: z.record(z.string(), z.unknown()),
  callback_url: z
    .string()
    .max(MAX_CALLBACK_LENGTH)
    .nullish()
    .meta({
      description: 'Told how the task goes: https, and no private address.',
      examples: ['https://me.example/a2a'],
    }),
});
const SentShown = z.object({
  task_id: Uuid,
  status: z.literal('submitted'),
  escrow_id: Uuid.nullable(),
  price_tck: Amount,
  protocol: z.literal('a2a'),
});
const TaskShown = z.object({
  task_id: Uuid,
  status: z.enum(['submitted', 'working', 'completed', 'input-required', 'canceled']),
  botnode_status: z.string(),
  escrow_id: Uuid.nullable(),
  protocol: z.enum(['grid', 'mcp', 'a2a']),
  created_at: Timestamp,
  output: z.unknown().optional(),
  seller_cri: z.number(),
});
const DiscoverQuery = z.object({
  category: z.string().max(MAX_CATEGORY_LENGTH).optional(),
  max_price_tck: z
    .string()
    .regex(/^\d{1,9}(\.\d{1,12})?$/, { error: 'must be a decimal number' })
    .transform(Number)
    .optional(),
  min_seller_cri: z
    .string()
    .regex(/^\d{1,3}(\.\d{1,6})?$/, { error: 'must be a decimal number' })
    .transform(Number)
    .optional(),
  limit: wholeNumber({ min: 1, max: MAX_ASKED })
    .default(DEFAULT_SKILLS)
    .transform((asked) => Math.min(asked, MAX_SKILLS)),
});
const CardSkill = z.object({
  id: Uuid,
  name: z.string(),
  price_tck: Amount,
  inputSchema: Schema,
  outputSchema: Schema,
});
const Discoveries = z.object({
  skills: z.array(
    CardSkill.extend({
      seller_id: z.string(),
      seller_cri: z.number(),
      category: z.string(),
      description: z.string(),
    }),
  ),
  total: z.int(),
  protocol: z.literal('a2a'),
});
const AgentCard = z.object({
  name: z.string(),
  description: z.string(),
  url: z.string(),
  version: z.string(),
  protocol: z.literal('a2a'),
  capabilities: z.object({
    streaming: z.boolean(),
    pushNotifications: z.boolean(),
    stateTransitionHistory: z.boolean(),
  }),
  authentication: z.object({ schemes: z.array(z.string()), apiKey: z.object({ headerName: z.string() }) }),
  defaultInputModes: z.array(z.string()),
  defaultOutputModes: z.array(z.string()),
  skills: z.array(CardSkill),
});

export const a2aRoutes = (grid: Grid, publicUrl: () => string): Route[] => [
  cardRoute(grid, publicUrl),
  discoverRoute(grid),
  ...taskRoutes(grid),
];

const cardRoute = ({ bridge }: Grid, publicUrl: () => string): Route =>
  route({
    method: 'GET',
    path: '/.well-known/agent.json',
    tag: TAG,
    summary: 'The agent card of the grid',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    replies: { 200: { description: 'The card', schema: AgentCard } },
    handle: async () => ok(agentCard(publicUrl(), await bridge.discover({ limit: MAX_SKILLS }))),
  });

/** What the grid is, for agents that look for others. */
export const agentCard = (url: string, skills: readonly Discovered[]): z.input<typeof AgentCard> => ({
  name: 'Freehold Grid',
  description: 'A market of agents for agents: work is paid from escrow, and every node has a reputation.',
  url,
  version: CARD_VERSION,
  protocol: 'a2a',
  capabilities: { streaming: false, pushNotifications: true, stateTransitionHistory: true },
  authentication: { schemes: ['apiKey'], apiKey: { headerName: 'X-API-KEY' } },
  defaultInputModes: ['application/json'],
  defaultOutputModes: ['application/json'],
  skills: skills.map(presentSkill),
});

const presentSkill = ({ id, label, price, inputSchema, outputSchema }: Discovered): z.input<typeof CardSkill> => ({
  id,
  name: label,
  price_tck: shortDecimals(price),
  inputSchema: schemaOr(inputSchema),
  outputSchema: schemaOr(outputSchema),
});

/** A skill that declares none, or one that is too large for a list, is shown to take anything. */
const schemaOr = (schema: unknown): Record<string, unknown> =>
  typeof schema === 'object' && schema !== null && !Array.isArray(schema) ? { ...schema } : ANYTHING;

const discoverRoute = ({ bridge }: Grid): Route =>
  route({
    method: 'GET',
    path: '/v1/a2a/discover',
    tag: TAG,
    summary: 'Look for skills',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    query: DiscoverQuery,
    replies: { 200: { description: 'Skills, the oldest first', schema: Discoveries } },
    handle: async (_op, { query }) => {
      const { category, max_price_tck: most, min_seller_cri: minCri, limit } = query;
      const maxPrice = most === undefined ? undefined : nearestTck(most);
      const found = await bridge.discover({ category, maxPrice, minCri, limit });
      const skills = found.map((one) => ({
        ...presentSkill(one),
        seller_id: one.sellerId,
        seller_cri: one.sellerCri,
        category: one.category ?? 'general',
        description: one.description ?? '',
      }));
      return ok({ skills, total: skills.length, protocol: 'a2a' } satisfies z.input<typeof Discoveries>);
    },
  });

const taskRoutes = (grid: Grid): Route[] => [
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/a2a/tasks/send',
    tag: TAG,
    summary: 'Order work of a skill',
    keyOnly: true,
    nodeLimit: SEND_LIMIT,
    idempotent: true,
    body: Sent,
    fails: ['invalid', 'unaffordable', 'forbidden', 'not_found'],
    replies: { 200: { description: 'It is ordered', schema: SentShown } },
    handle: async (op, { body }) => {
      const wish = { skillId: body.skill_id, input: body.input, callbackUrl: body.callback_url ?? undefined };
      const { task, offer } = await grid.bridge.send(op, wish);
      return ok({
        task_id: task.id,
        status: 'submitted',
        escrow_id: task.escrowId,
        price_tck: shortDecimals(offer.price),
        protocol: 'a2a',
      } satisfies z.input<typeof SentShown>);
    },
  }),
  nodeRoute(grid, {
    method: 'GET',
    path: '/v1/a2a/tasks/:task_id',
    tag: TAG,
    summary: 'How a task stands',
    keyOnly: true,
    params: z.object({ task_id: z.string() }),
    fails: ['not_found'],
    replies: { 200: { description: 'Its state, and its output when it is there', schema: TaskShown } },
    handle: async (op, { params }) => ok(presentA2aTask(await grid.bridge.watch(op, params.task_id))),
  }),
];

const STATUS = {
  OPEN: 'submitted',
  IN_PROGRESS: 'working',
  COMPLETED: 'completed',
  SETTLED: 'completed',
  DISPUTED: 'input-required',
  REFUNDED: 'canceled',
} as const satisfies Record<Watched['task']['status'], z.input<typeof TaskShown>['status']>;

/** A task as agents that speak A2A see it; the body of what their callback is told, too. */
export const presentA2aTask = ({ task, sellerCri }: Watched): z.input<typeof TaskShown> => ({
  task_id: task.id,
  status: STATUS[task.status],
  botnode_status: task.status,
  escrow_id: task.escrowId,
  protocol: task.via,
  created_at: naive(task.createdAt),
  ...(task.output !== null && { output: task.output }),
  seller_cri: sellerCri,
});
