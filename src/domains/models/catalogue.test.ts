import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openModels, type Providers } from './index.ts';
import { parseCatalogue } from './catalogue.ts';

const NONE: Providers = { anthropic: {}, openai: {}, openrouter: {}, 'openai-compatible': {} };
const entry = {
  slug: 'own-model',
  display_name: 'Own',
  group: 'own',
  tier: 0,
  max_tokens: 1000,
  context_length: 8000,
  supports_thinking: false,
  input_price_per_m: 0.5,
  output_price_per_m: 1.5,
  provider: 'openai-compatible',
  provider_model: 'own',
};
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'freehold-models-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const slugs = async (providers: Partial<Providers>, file?: string) =>
  (await openModels({ providers: { ...NONE, ...providers }, file })).list().map((model) => model.slug);

async function fileOf(content: unknown): Promise<string> {
  const file = join(dir, `${Math.random()}.json`);
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

describe('the catalogue', () => {
  test('without any provider only the script model is listed, and it is what a left-out model means', async () => {
    const models = await openModels({ providers: NONE });
    expect(models.list().map((model) => model.slug)).toEqual(['script']);
    expect(models.preferred().slug).toBe('script');
    expect(models.find('claude-sonnet-4-6')).toBeUndefined();
  });

  test('models of a configured provider are listed by group, then tier', async () => {
    const models = await openModels({
      providers: { ...NONE, anthropic: { apiKey: 'k' }, openrouter: { apiKey: 'k' } },
    });
    const order = models.list().map((model) => [model.group, model.tier] as const);
    expect(order).toEqual(order.toSorted(([g1, t1], [g2, t2]) => (g1 === g2 ? t1 - t2 : g1 < g2 ? -1 : 1)));
    expect(models.list().map((model) => model.slug)).toEqual(
      expect.arrayContaining(['claude-haiku-4-5', 'nemotron-3-super-120b:free', 'script']),
    );
    expect(models.preferred().slug).toBe('claude-sonnet-4-6');
  });

  test('where Sonnet is not configured, the first listed model is preferred to the script', async () => {
    const models = await openModels({ providers: { ...NONE, openai: { apiKey: 'k' } } });
    expect(models.preferred().slug).toBe('gpt-5.4-nano');
  });

  test('a file takes the place of the shipped catalogue and needs its own server, not a key', async () => {
    const file = await fileOf([entry]);
    expect(await slugs({}, file)).toEqual(['script']);
    expect(await slugs({ 'openai-compatible': { baseUrl: 'http://127.0.0.1:1' } }, file)).toEqual([
      'own-model',
      'script',
    ]);
  });

  test('every problem of a file is told at once', async () => {
    const file = await fileOf([
      { ...entry, tier: -1, input_price_per_m: 0.0000001 },
      { ...entry, slug: 'b', provider: 'nobody' },
    ]);
    const failing = openModels({ providers: NONE, file });
    await expect(failing).rejects.toThrow(/0\.tier[^]*0\.input_price_per_m[^]*1\.provider/);
    await expect(openModels({ providers: NONE, file: await fileOf('[') })).rejects.toThrow(/not a readable JSON file/);
    await expect(openModels({ providers: NONE, file: await fileOf([entry, entry]) })).rejects.toThrow(/slug twice/);
  });

  test('a catalogue may set the script model’s own entry', () => {
    const models = parseCatalogue([{ ...entry, slug: 'script', provider: 'script', provider_model: 'script' }], 'test');
    expect(models.map((model) => model.group)).toEqual(['own']);
  });
});
