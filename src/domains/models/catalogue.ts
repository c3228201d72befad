import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import shipped from './catalogue.json' with { type: 'json' };
import { exactPrice, isExactPrice, type TokenPrices } from './price.ts';

export const PROVIDERS = ['anthropic', 'openai', 'openrouter', 'openai-compatible', 'script'] as const;
export type ProviderName = (typeof PROVIDERS)[number];

/** A model that tasks and bots may use. `provider` and `providerModel` say where it is asked and under which name. */
export type Model = {
  slug: string;
  displayName: string;
  group: string;
  /** Place within the group: 0 is the smallest and cheapest. */
  tier: number;
  /** Output tokens of one call at the most. */
  maxTokens: number;
  /** Input and output tokens of one call together at the most. */
  contextLength: number;
  supportsThinking: boolean;
  inputPricePerMillion: number;
  outputPricePerMillion: number;
  prices: TokenPrices;
  provider: ProviderName;
  providerModel: string;
};

const MAX_PRICE = 100_000;
const MAX_TOKENS = 100_000_000;

const price = z.number().min(0).max(MAX_PRICE).refine(isExactPrice, { error: 'must have at most 6 decimal places' });
const tokens = z.int().min(1).max(MAX_TOKENS);

const Entry = z.strictObject({
  slug: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/, { error: 'must be 1 to 128 letters, digits and . _ : / -' }),
  display_name: z.string().min(1).max(128),
  group: z.string().min(1).max(64),
  tier: z.int().min(0).max(100),
  max_tokens: tokens,
  context_length: tokens,
  supports_thinking: z.boolean(),
  input_price_per_m: price,
  output_price_per_m: price,
  cached_input_price_per_m: price.optional(),
  cache_write_price_per_m: price.optional(),
  provider: z.enum(PROVIDERS),
  provider_model: z.string().min(1).max(256),
});

const Catalogue = z
  .array(Entry)
  .refine((entries) => new Set(entries.map((entry) => entry.slug)).size === entries.length, {
    error: 'names a slug twice',
  });

/** The model that needs no provider: it runs the shell blocks of the prompt. Listed whatever the catalogue says. */
export const SCRIPT_MODEL: Model = {
  slug: 'script',
  displayName: 'Script: runs the shell blocks of the prompt',
  group: 'script',
  tier: 0,
  maxTokens: 65_536,
  contextLength: 1_000_000,
  supportsThinking: false,
  inputPricePerMillion: 0,
  outputPricePerMillion: 0,
  prices: { input: 0n, cachedInput: 0n, cacheWrite: 0n, output: 0n },
  provider: 'script',
  providerModel: 'script',
};

export class CatalogueError extends Error {}

/** The operator's catalogue, or the shipped one. Throws `CatalogueError` with every problem of the file, one a line. */
export async function readCatalogue(file: string | undefined): Promise<Model[]> {
  if (file === undefined) return parseCatalogue(shipped, 'The shipped catalogue');
  try {
    return parseCatalogue(JSON.parse(await readFile(file, 'utf8')), file);
  } catch (cause) {
    if (cause instanceof CatalogueError) throw cause;
    throw new CatalogueError(
      `${file} is not a readable JSON file: ${cause instanceof Error ? cause.message : 'unknown trouble'}`,
      { cause },
    );
  }
}

/** Models in the order in which they are listed: by group, then tier, then name. */
export function parseCatalogue(json: unknown, name: string): Model[] {
  const parsed = Catalogue.safeParse(json);
  if (!parsed.success)
    throw new CatalogueError(
      parsed.error.issues.map((issue) => `${name}: ${issue.path.join('.')} ${issue.message}`).join('\n'),
    );
  const models = parsed.data.map(modelOf);
  return (models.some((model) => model.slug === SCRIPT_MODEL.slug) ? models : [...models, SCRIPT_MODEL]).toSorted(
    inListOrder,
  );
}

function modelOf(entry: z.output<typeof Entry>): Model {
  const input = exactPrice(entry.input_price_per_m);
  return {
    slug: entry.slug,
    displayName: entry.display_name,
    group: entry.group,
    tier: entry.tier,
    maxTokens: entry.max_tokens,
    contextLength: entry.context_length,
    supportsThinking: entry.supports_thinking,
    inputPricePerMillion: entry.input_price_per_m,
    outputPricePerMillion: entry.output_price_per_m,
    prices: {
      input,
      cachedInput: entry.cached_input_price_per_m === undefined ? input : exactPrice(entry.cached_input_price_per_m),
      cacheWrite: entry.cache_write_price_per_m === undefined ? input : exactPrice(entry.cache_write_price_per_m),
      output: exactPrice(entry.output_price_per_m),
    },
    provider: entry.provider,
    providerModel: entry.provider_model,
  };
}

const inListOrder = (left: Model, right: Model): number =>
  compare(left.group, right.group) || left.tier - right.tier || compare(left.slug, right.slug);

const compare = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);
