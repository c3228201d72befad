import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openModels, toolResults, userMessage, type CallOutcome, type Models } from '../../src/domains/models/index.ts';
import { startFakeProvider, toolCall, type FakeProvider, type Reply } from '../fakes/provider.ts';
import { systemOp } from '../harness/op.ts';

const TOOLS = [
  {
    name: 'run_command',
    description: 'Runs a command',
    input: z.object({ command: z.string(), timeout_seconds: z.int().optional() }),
  },
];
const MODEL_OF = {
  anthropic: 'claude-haiku-4-5',
  openai: 'gpt-5.4-mini',
  openrouter: 'nemotron-3-super-120b:free',
  own: 'gemini-2.5-flash',
};

let provider: FakeProvider;
let models: Models;

beforeEach(async () => {
  provider = await startFakeProvider();
  const settings = { apiKey: 'secret-key', baseUrl: provider.url };
  models = await openModels({
    providers: {
      anthropic: settings,
      openai: settings,
      openrouter: settings,
      'openai-compatible': { baseUrl: `${provider.url}/v1` },
    },
  });
});
afterEach(() => provider.close());

function ask(
  slug: string,
  replies: Reply[],
  options: { signal?: AbortSignal; messages?: ReturnType<typeof userMessage>[] } = {},
): Promise<CallOutcome> {
  const model = models.find(slug);
  if (!model) throw new Error(`no model ${slug}`);
  provider.replies.push(...replies);
  const op = { ...systemOp(), ...(options.signal && { signal: options.signal }) };
  const messages = options.messages ?? [userMessage('Do it')];
  return models.call(op, { model, system: 'You work.', messages, tools: TOOLS, maxOutputTokens: 500 });
}

const said = (outcome: CallOutcome) => {
  if (!outcome.ok) throw new Error(`${outcome.reason}: ${outcome.detail}`);
  return outcome;
};

describe.each(Object.values(MODEL_OF))('%s', (slug) => {
  test('a text answer is metered from the provider’s own figures', async () => {
    const outcome = said(await ask(slug, [{ kind: 'message', text: 'Done.', usage: { input: 1_000, output: 20 } }]));
    const { prices } = models.find(slug)!;
    expect(outcome).toMatchObject({ text: 'Done.', toolCalls: [], finishReason: 'stop' });
    expect(outcome.usage).toMatchObject({ inputTokens: 1_000, outputTokens: 20, cachedInputTokens: 0 });
    expect(outcome.cost).toBe((1_000n * prices.input + 20n * prices.output + 999_999n) / 1_000_000n);
  });

  test('a tool call comes through, and its result goes back in the next request', async () => {
    const first = said(await ask(slug, [toolCall('run_command', { command: 'ls' })]));
    expect(first.toolCalls).toMatchObject([{ name: 'run_command', input: { command: 'ls' } }]);
    expect(first.finishReason).toBe('tool_calls');
    const [call] = first.toolCalls;
    const result = toolResults([{ callId: call!.id, name: call!.name, output: { exit_code: 0, stdout: 'a file' } }]);
    said(
      await ask(slug, [{ kind: 'message', text: 'ok' }], { messages: [userMessage('Do it'), first.message, result] }),
    );
    const sent = JSON.stringify(provider.requests.at(-1)?.body);
    expect(sent).toContain('a file');
    expect(sent).toContain(call!.id);
  });

  test('a message survives being kept as JSON', async () => {
    const first = said(await ask(slug, [toolCall('run_command', { command: 'ls' })]));
    const kept = JSON.parse(JSON.stringify(first.message)) as typeof first.message;
    const [call] = first.toolCalls;
    const messages = [
      userMessage('Do it'),
      kept,
      toolResults([{ callId: call!.id, name: call!.name, output: 'done' }]),
    ];
    said(await ask(slug, [{ kind: 'message', text: 'ok' }], { messages }));
  });

  test('stopping at the length limit is told', async () => {
    expect(said(await ask(slug, [{ kind: 'message', text: 'and then', stop: 'length' }])).finishReason).toBe('length');
  });

  test('a reply that a filter stopped is told as such', async () => {
    expect(said(await ask(slug, [{ kind: 'message', text: 'no', stop: 'filtered' }])).finishReason).toBe('filtered');
  });

  test('a 429 is waited out as the provider asks, a 500 is tried again', async () => {
    const replies: Reply[] = [
      { kind: 'status', status: 429, headers: { 'retry-after': '0' } },
      { kind: 'status', status: 500 },
      { kind: 'hangup' },
      { kind: 'message', text: 'at last' },
    ];
    expect(said(await ask(slug, replies)).text).toBe('at last');
    expect(provider.requests).toHaveLength(4);
  });

  test('a 400 is not tried again, and its text is kept from the customer', async () => {
    const outcome = await ask(slug, [
      { kind: 'status', status: 400, body: { error: { type: 'x', message: 'org-1234 said no' } } },
    ]);
    expect(outcome).toMatchObject({ ok: false, reason: 'rejected', retryable: false });
    expect(JSON.stringify({ ...outcome, detail: undefined })).not.toContain('org-1234');
    expect(provider.requests).toHaveLength(1);
  });
});

describe('calls', () => {
  test.each([MODEL_OF.openai, MODEL_OF.openrouter, MODEL_OF.own])(
    'arguments of %s that are not JSON reach the caller instead of failing the call',
    async (slug) => {
      const outcome = said(await ask(slug, [toolCall('run_command', '{"command": ')]));
      expect(outcome.toolCalls).toMatchObject([{ name: 'run_command', input: {} }]);
    },
  );

  test('cached input is billed at its own price, on both ways of counting it', async () => {
    const usage = { input: 1_000, output: 0, cached: 900 };
    const anthropic = said(
      await ask(MODEL_OF.anthropic, [{ kind: 'message', text: 'a', usage: { ...usage, cacheWrite: 50 } }]),
    );
    expect(anthropic.usage).toEqual({
      inputTokens: 1_000,
      cachedInputTokens: 900,
      cacheWriteTokens: 50,
      outputTokens: 0,
    });
    expect(anthropic.cost).toBe(203n); // 50 × 1 + 900 × 0.1 + 50 × 1.25 = 202.5
    const openai = said(await ask(MODEL_OF.openai, [{ kind: 'message', text: 'a', usage }]));
    expect(openai.cost).toBe(143n); // 100 × 0.75 + 900 × 0.075 = 142.5
  });

  test('a priced model that does not say what it used is refused, a free one is not', async () => {
    expect(await ask(MODEL_OF.own, [{ kind: 'message', text: 'a', usage: null }])).toMatchObject({
      ok: false,
      reason: 'unmetered',
    });
    expect(said(await ask(MODEL_OF.openrouter, [{ kind: 'message', text: 'a', usage: null }])).cost).toBe(0n);
  });

  test.each([-1, 1.5, 3_000_000_000, 1e300])('a figure like %s is no usage', async (input) => {
    const reply: Reply = { kind: 'message', text: 'a', usage: { input, output: 1 } };
    expect(await ask(MODEL_OF.own, [reply])).toMatchObject({ ok: false, reason: 'unmetered' });
  });

  test('the credential goes to the provider and a refused one is not repeated', async () => {
    const outcome = await ask(MODEL_OF.anthropic, [
      { kind: 'status', status: 401, body: { error: { message: 'bad key' } } },
    ]);
    expect(outcome).toMatchObject({ ok: false, reason: 'credential', retryable: false });
    expect(provider.requests[0]?.headers['x-api-key']).toBe('secret-key');
  });

  test('retries end after four attempts', async () => {
    const down = { kind: 'status', status: 503, headers: { 'retry-after': '0' } } as const;
    expect(await ask(MODEL_OF.openai, [down, down, down, down, down])).toMatchObject({
      ok: false,
      reason: 'unavailable',
    });
    expect(provider.requests).toHaveLength(4);
  });

  test('an answer that is not of the protocol is an outcome, not a crash', async () => {
    const garbage = { kind: 'garbage', text: '<html>' } as const;
    expect(await ask(MODEL_OF.own, [garbage, garbage, garbage, garbage])).toMatchObject({
      ok: false,
      reason: 'malformed',
    });
  });

  test('an abort ends a call at once, in flight and between attempts', async () => {
    const inFlight = new AbortController();
    const first = ask(MODEL_OF.anthropic, [{ kind: 'silence' }], { signal: inFlight.signal });
    await provider.asked(1);
    inFlight.abort();
    expect(await first).toMatchObject({ ok: false, reason: 'aborted', retryable: false });

    const waiting = new AbortController();
    const second = ask(MODEL_OF.anthropic, [{ kind: 'status', status: 429, headers: { 'retry-after': '50' } }], {
      signal: waiting.signal,
    });
    await provider.asked(2);
    setTimeout(() => waiting.abort(), 50);
    expect(await second).toMatchObject({ ok: false, reason: 'aborted' });
    expect(provider.requests).toHaveLength(2);
  });

  test('the request carries system text, limit and tools, and asks OpenAI to keep nothing', async () => {
    await ask(MODEL_OF.anthropic, [{ kind: 'message', text: 'a' }]);
    expect(provider.requests[0]?.body).toMatchObject({
      model: 'claude-haiku-4-5',
      max_tokens: 500,
      system: [{ text: 'You work.' }],
      tools: [{ name: 'run_command', input_schema: { required: ['command'] } }],
    });
    await ask(MODEL_OF.openai, [{ kind: 'message', text: 'a' }]);
    expect(provider.requests[1]?.body).toMatchObject({ store: false, max_output_tokens: 500 });
    await ask(MODEL_OF.openrouter, [{ kind: 'message', text: 'a' }]);
    expect(provider.requests[2]?.body).toMatchObject({
      model: 'nvidia/nemotron-3-super-120b-a12b:free',
      max_tokens: 500,
    });
  });

  test('the script model asks nobody', async () => {
    const outcome = said(await ask('script', [], { messages: [userMessage('```sh\necho hi\n```')] }));
    expect(outcome.toolCalls).toMatchObject([{ name: 'run_command', input: { command: 'echo hi' } }]);
    expect(outcome.cost).toBe(0n);
    expect(provider.requests).toHaveLength(0);
  });
});
