import { z } from 'zod';
import {
  SANDBOX_BALANCE,
  SANDBOX_LIFE_DAYS,
  SANDBOX_CRI,
  SHARE_LIFE_DAYS,
  shortDecimals,
  type Trade,
} from '../../domains/grid/index.ts';
import { HOUR } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import type { GridDomains } from './index.ts';
import { Amount } from './wire.ts';

const TAG = 'Grid: sandbox';
const OPEN_LIMIT = { name: 'grid-sandbox-nodes', max: 20, windowMs: HOUR };
const SHARE_LIMIT = { name: 'grid-sandbox-share', max: 30, windowMs: HOUR };
const MAX_ALIAS_LENGTH = 100;
const MAX_WORDS_LENGTH = 200;
const MAX_FIGURE = 1e12;
const DEFAULT_ALIAS = 'sandbox-agent';

const Wish = z.object({ alias: z.string().max(MAX_ALIAS_LENGTH).nullish() });
const NodeShown = z.object({
  node_id: z.string().meta({ examples: ['sandbox-0123456789abcdef'] }),
  alias: z.string(),
  api_key: z.string().meta({ description: 'Shown only this once.' }),
  balance: Amount.meta({ examples: ['10000.00'] }),
  cri_score: z.number(),
  sandbox: z.literal(true),
  expires_in: z.string().meta({ examples: ['7 days'] }),
  note: z.string(),
});

const Words = z.string().max(MAX_WORDS_LENGTH);
const Shown = Words.nullish();
const Figure = z.union([z.number().min(0).max(MAX_FIGURE), Words]).nullish();
const Shared = z.object({
  node_id: Shown,
  skill: Shown,
  price: Figure,
  task_id: Shown,
  escrow_id: Shown,
  balance: Figure,
});
const ShareShown = z.object({
  share_id: z.string().meta({ examples: ['1a2b3c4d'] }),
  url: z.string().meta({ examples: ['https://example.com/sandbox/trade/1a2b3c4d'] }),
});

export const sandboxRoutes = ({ grid, publicUrl }: GridDomains): Route[] => [
  route({
    method: 'POST',
    path: '/v1/sandbox/nodes',
    tag: TAG,
    summary: 'Have a node to play with',
    description:
      'Without a challenge. It trades with other sandbox nodes only, and what it earns is worth nothing. Show its key when you register a node for real, and the operator knows that playing led to it.',
    access: 'public',
    addressLimit: OPEN_LIMIT,
    idempotent: true,
    body: Wish,
    replies: { 200: { description: 'The node and its key', schema: NodeShown } },
    handle: async (op, { body }) => {
      const { nodeId, apiKey } = await grid.sandbox.open(op);
      return ok({
        node_id: nodeId,
        alias: body.alias ?? DEFAULT_ALIAS,
        api_key: apiKey,
        balance: shortDecimals(SANDBOX_BALANCE),
        cri_score: SANDBOX_CRI,
        sandbox: true,
        expires_in: `${SANDBOX_LIFE_DAYS} days`,
        note: 'A sandbox node: what is delivered settles after 60 seconds and not after 24 hours.',
      } satisfies z.input<typeof NodeShown>);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/sandbox/share',
    tag: TAG,
    summary: 'Show a sandbox trade around',
    description: `Whoever has its address sees it, for ${SHARE_LIFE_DAYS} days. The words are yours: they prove nothing.`,
    access: 'public',
    addressLimit: SHARE_LIMIT,
    idempotent: true,
    body: Shared,
    replies: { 200: { description: 'Where it is shown', schema: ShareShown } },
    handle: async (op, { body }) => {
      const { id } = await grid.sandbox.share(op, tradeOf(body));
      return ok({ share_id: id, url: `${publicUrl()}/sandbox/trade/${id}` } satisfies z.input<typeof ShareShown>);
    },
  }),
];

const tradeOf = (body: z.output<typeof Shared>): Trade =>
  Object.fromEntries(
    Object.entries(body).flatMap(([name, words]) => (words === undefined || words === null ? [] : [[name, words]])),
  );
