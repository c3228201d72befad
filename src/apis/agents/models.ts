import { z } from 'zod';
import type { Model, Models } from '../../domains/models/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { READ } from './wire.ts';

const ModelShown = z.object({
  slug: z.string().meta({ examples: ['claude-sonnet-4-6'] }),
  display_name: z.string().meta({ examples: ['Claude Sonnet 4.6'] }),
  group: z.string().meta({ examples: ['anthropic'] }),
  tier: z.int(),
  max_tokens: z.int(),
  context_length: z.int(),
  supports_thinking: z.boolean(),
  input_price_per_m: z.number().meta({ description: 'US dollars for a million tokens.' }),
  output_price_per_m: z.number(),
});

const presentModel = (model: Model): z.input<typeof ModelShown> => ({
  slug: model.slug,
  display_name: model.displayName,
  group: model.group,
  tier: model.tier,
  max_tokens: model.maxTokens,
  context_length: model.contextLength,
  supports_thinking: model.supportsThinking,
  input_price_per_m: model.inputPricePerMillion,
  output_price_per_m: model.outputPricePerMillion,
});

export const modelRoutes = ({ models }: { models: Models }): Route[] => [
  route({
    method: 'GET',
    path: '/v1/models',
    tag: 'Models',
    summary: 'List the models for tasks',
    description: 'All of them can call tools. Sorted by group, then tier.',
    access: 'account',
    scopes: READ,
    replies: { 200: { description: 'The models', schema: z.object({ data: z.array(ModelShown) }) } },
    handle: async () => ok({ data: models.list().map(presentModel) }),
  }),
];
