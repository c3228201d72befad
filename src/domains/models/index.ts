import type { Op } from '../../kernel/op.ts';
import { callModel, type CallOutcome, type CallRequest } from './call.ts';
import { readCatalogue, SCRIPT_MODEL, type Model } from './catalogue.ts';
import { isConfigured, type Providers } from './providers.ts';

/** Models: which there are, what they cost, and asking one of them. */
export type Models = {
  /** Models that can be used now, by group, then tier. A model whose provider is not set up is not there. */
  list(): readonly Model[];
  find(slug: string): Model | undefined;
  /** What a request means that names no model. */
  preferred(): Model;
  call(op: Op, request: CallRequest): Promise<CallOutcome>;
};

export type ModelsOptions = {
  /** JSON file of models that takes the place of the shipped catalogue. */
  file?: string | undefined;
  providers: Providers;
};

const PREFERRED = 'claude-sonnet-4-6';

/** Throws `CatalogueError` with every problem of the file. */
export async function openModels({ file, providers }: ModelsOptions): Promise<Models> {
  const listed = (await readCatalogue(file)).filter((model) => isConfigured(providers, model.provider));
  const find = (slug: string) => listed.find((model) => model.slug === slug);
  return {
    list: () => listed,
    find,
    preferred: () => find(PREFERRED) ?? listed.find((model) => model.provider !== 'script') ?? SCRIPT_MODEL,
    call: (op, request) => callModel(op, providers, request),
  };
}

export type { CallOutcome, CallRequest, FinishReason, ToolSpec } from './call.ts';
export { CatalogueError, type Model } from './catalogue.ts';
export {
  textOf,
  toolCallsIn,
  toolResults,
  userMessage,
  type AssistantMessage,
  type Json,
  type Message,
  type ToolCall,
  type ToolResult,
} from './message.ts';
export { affordableOutput, type TokenPrices, type TokenUsage } from './price.ts';
export type { Providers } from './providers.ts';
