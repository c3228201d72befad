import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import type { LanguageModel } from 'ai';
import type { Model, ProviderName } from './catalogue.ts';

/** Where a provider is reached. Absent values mean: not set up, or the provider's own public address. */
export type ProviderSettings = { apiKey?: string | undefined; baseUrl?: string | undefined };
export type RemoteProvider = Exclude<ProviderName, 'script'>;
export type Providers = Record<RemoteProvider, ProviderSettings>;

const OPENROUTER_URL = 'https://openrouter.ai/api/v1';

/** Whether models of this provider can be asked. A server of one's own may need no key. */
export function isConfigured(providers: Providers, name: ProviderName): boolean {
  if (name === 'script') return true;
  if (name === 'openai-compatible') return providers[name].baseUrl !== undefined;
  return providers[name].apiKey !== undefined;
}

/** The provider's options for one call: cached prompts where they must be asked for, nothing kept at the provider. */
export const CALL_OPTIONS = {
  anthropic: { cacheControl: { type: 'ephemeral' } },
  openai: { store: false },
};

export function languageModel(providers: Providers, model: Model & { provider: RemoteProvider }): LanguageModel {
  const { apiKey, baseUrl } = providers[model.provider];
  const baseURL = baseUrl === undefined ? undefined : versioned(model.provider, baseUrl);
  switch (model.provider) {
    case 'anthropic':
      return createAnthropic({ apiKey, baseURL })(model.providerModel);
    case 'openai':
      return createOpenAI({ apiKey, baseURL })(model.providerModel);
    case 'openrouter':
    case 'openai-compatible':
      return createOpenAICompatible({ name: model.provider, apiKey, baseURL: baseURL ?? OPENROUTER_URL })(
        model.providerModel,
      );
  }
}

/**
 * The usual value of `ANTHROPIC_BASE_URL` leaves out the version that the AI SDK wants, and so do many people's
 * addresses of their own servers. An address with a path of its own is taken as it is.
 */
function versioned(provider: RemoteProvider, baseUrl: string): string {
  const url = baseUrl.replace(/\/+$/, '');
  const complete = provider === 'anthropic' ? url.endsWith('/v1') : new URL(url).pathname !== '/';
  return complete ? url : `${url}/v1`;
}
