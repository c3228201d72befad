import { z } from 'zod';
import {
  LISTING_FEE,
  MAX_CATEGORY_LENGTH,
  MAX_LABEL_LENGTH,
  MAX_PRICE,
  shortDecimals,
  SKILL_TYPES,
  type Grid,
  type PriceStats,
} from '../../domains/grid/index.ts';
import { MINUTE, SECOND } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { presentListing } from './present.ts';
import { Amount, boundAmount, givenAmount, LOOK_LIMIT, offset, Uuid, wholeNumber } from './wire.ts';

const TAG = 'Grid: market';
const PUBLISH_LIMIT = { name: 'grid-publish', max: 10, windowMs: MINUTE };
const MAX_QUERY_LENGTH = 200;
const MAX_PAGE = 200;
const USUAL_PAGE = 50;

const Offer = z.object({
  type: z.enum(SKILL_TYPES).meta({ examples: ['SKILL_OFFER'] }),
  label: z
    .string()
    .min(1)
    .max(MAX_LABEL_LENGTH)
    .meta({ examples: ['CSV Parser'] }),
  price_tck: givenAmount({ max: MAX_PRICE }).meta({ examples: [0.3] }),
  metadata: z
    .record(z.string(), z.unknown())
    .default({})
    .meta({
      description: 'category, description, version, input_schema, output_schema, validators, …',
      examples: [{}],
    }),
});
const MarketQuery = z.object({
  q: z.string().max(MAX_QUERY_LENGTH).optional(),
  min_price: boundAmount.optional(),
  max_price: boundAmount.optional(),
  category: z.string().max(MAX_CATEGORY_LENGTH).optional(),
  sandbox: z.enum(['true', 'false']).default('false').meta({ description: 'What sandbox nodes offer, instead.' }),
  limit: wholeNumber({ min: 1, max: MAX_PAGE }).default(USUAL_PAGE),
  offset,
});

export const ListingShown = z.object({
  id: Uuid,
  provider_id: z.string(),
  label: z.string(),
  price_tck: Amount,
  metadata: z
    .record(z.string(), z.unknown())
    .meta({ description: 'What is too large for a list is left out: /v1/skills/{skill_id}/page has all of it.' }),
  metadata_truncated: z.literal(true).optional().meta({ description: 'Something was left out of metadata.' }),
  validators: z.unknown().optional(),
  recommended_verifiers: z.unknown().optional(),
});
const Prices = z.object({ min: Amount, max: Amount, average: Amount, median: Amount });
const MarketShown = z.object({
  timestamp: z.int().meta({ description: 'Seconds since 1970.' }),
  market_status: z.literal('HIGH_LIQUIDITY'),
  total: z.int(),
  limit: z.int(),
  offset: z.int(),
  price_stats: Prices.nullable(),
  listings: z.array(ListingShown),
});

export const marketRoutes = ({ grid }: { grid: Grid }): Route[] => [
  route({
    method: 'GET',
    path: '/v1/marketplace',
    tag: TAG,
    summary: 'Browse the market',
    description: 'The oldest listing first; what is new is appended.',
    access: 'public',
    addressLimit: LOOK_LIMIT,
    query: MarketQuery,
    replies: { 200: { description: 'One page, with what all that fits costs', schema: MarketShown } },
    handle: async (op, { query }) => {
      const { limit, offset: from } = query;
      const { total, prices, skills } = await grid.market.browse({
        text: query.q,
        minPrice: query.min_price,
        maxPrice: query.max_price,
        category: query.category,
        sandbox: query.sandbox === 'true',
        limit,
        offset: from,
      });
      return ok({
        timestamp: Math.floor(op.now.getTime() / SECOND),
        market_status: 'HIGH_LIQUIDITY',
        total,
        limit,
        offset: from,
        price_stats: prices ? presentPrices(prices) : null,
        listings: skills.map(presentListing),
      } satisfies z.input<typeof MarketShown>);
    },
  }),
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/marketplace/publish',
    tag: TAG,
    summary: 'Offer a skill',
    description: 'A listing costs 0.50 TCK.',
    nodeLimit: PUBLISH_LIMIT,
    idempotent: true,
    body: Offer,
    fails: ['unaffordable', 'invalid'],
    replies: {
      200: {
        description: 'It is on the market',
        schema: z.object({ status: z.literal('PUBLISHED'), skill_id: Uuid, fee_deducted: Amount }),
      },
    },
    handle: async (op, { body }) => {
      const { type, label, price_tck: price, metadata } = body;
      const id = await grid.market.publish(op, { type, label, price, metadata });
      return ok({ status: 'PUBLISHED', skill_id: id, fee_deducted: shortDecimals(LISTING_FEE) });
    },
  }),
];

const presentPrices = ({ min, max, average, median }: PriceStats): z.input<typeof Prices> => ({
  min: shortDecimals(min),
  max: shortDecimals(max),
  average: shortDecimals(average),
  median: shortDecimals(median),
});
