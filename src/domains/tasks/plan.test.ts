import { describe, expect, test } from 'vitest';
import { usd } from '../../kernel/money.ts';
import type { Json, Model } from '../models/index.ts';
import { conversation, inputTokens, MAX_SHOWN_BYTES, shorten } from './conversation.ts';
import { plan } from './plan.ts';
import type { ModelReply, Step } from './step.ts';

const at = new Date('2026-03-01T12:00:00Z');
const common = { startedAt: at, finishedAt: at };
const usage = { inputTokens: 100, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 10 };

const asked = (
  number: number,
  content: ModelReply['message']['content'],
  finishReason: ModelReply['finishReason'] = 'tool_calls',
): Step => ({
  ...common,
  number,
  kind: 'model',
  state: 'finished',
  reply: { message: { role: 'assistant', content }, finishReason, usage, cost: usd(1n) },
});
const calls = (...wanted: [string, string, unknown][]) =>
  wanted.map(([toolCallId, toolName, input]) => ({ type: 'tool-call' as const, toolCallId, toolName, input }));
const used = (number: number, id: string, name: string, output: Json, input: Json = {}): Step => ({
  ...common,
  number,
  kind: 'tool',
  state: 'finished',
  call: { id, name, input },
  output,
});
const model = (contextLength: number): Model => ({
  slug: 'm',
  displayName: 'M',
  group: 'g',
  tier: 0,
  maxTokens: 1_000,
  contextLength,
  supportsThinking: false,
  inputPricePerMillion: 1,
  outputPricePerMillion: 1,
  prices: { input: 1n, cachedInput: 1n, cacheWrite: 1n, output: 1n },
  provider: 'openai-compatible',
  providerModel: 'm',
});

describe('the plan', () => {
  test('a task begins by asking its model', () => {
    expect(plan([])).toEqual({ kind: 'ask' });
  });

  test('the calls of one reply are carried out in order, then the model is asked again', () => {
    const reply = asked(1, calls(['a', 'run_command', { command: '1' }], ['b', 'run_command', { command: '2' }]));
    expect(plan([reply])).toMatchObject({ kind: 'use', call: { id: 'a' } });
    expect(plan([reply, used(2, 'a', 'run_command', 'x')])).toMatchObject({ kind: 'use', call: { id: 'b' } });
    expect(plan([reply, used(2, 'a', 'run_command', 'x'), used(3, 'b', 'run_command', 'y')])).toEqual({ kind: 'ask' });
  });

  test('an interrupted model call is asked again, an interrupted command is not run again', () => {
    const lost: Step = { ...common, number: 1, kind: 'model', state: 'interrupted', reply: undefined };
    expect(plan([lost])).toEqual({ kind: 'ask' });
    const cut: Step = { ...used(2, 'a', 'run_command', { note: 'unknown' }), state: 'interrupted' };
    expect(plan([asked(1, calls(['a', 'run_command', { command: 'rm' }])), cut])).toEqual({ kind: 'ask' });
  });
});

describe('the end', () => {
  test('finish ends the task, and what the same reply wanted after it is not done', () => {
    const reply = asked(
      1,
      calls(['a', 'finish', { text: 'T', json: { n: 1 } }], ['b', 'run_command', { command: '2' }]),
    );
    const ending = { status: 'succeeded', result: { text: 'T', json: { n: 1 } } };
    expect(plan([reply, used(2, 'a', 'finish', {}, { text: 'T', json: { n: 1 } })])).toEqual({ kind: 'end', ending });
  });

  test('a failure told by the model fails the task and keeps its text', () => {
    const step = used(2, 'a', 'finish', {}, { text: 'half', failure: 'no network' });
    expect(plan([asked(1, calls(['a', 'finish', {}])), step])).toEqual({
      kind: 'end',
      ending: {
        status: 'failed',
        error: { code: 'EXECUTION_ERROR', message: 'no network' },
        result: { text: 'half', json: null },
      },
    });
  });

  test('a finish that makes no sense does not end the task', () => {
    const step = used(2, 'a', 'finish', { error: 'text: missing' }, { text: 7 });
    expect(plan([asked(1, calls(['a', 'finish', { text: 7 }])), step])).toEqual({ kind: 'ask' });
  });

  test('a last word without a tool is the result; a cut-off one is not; silence and refusal fail', () => {
    expect(plan([asked(1, 'All done', 'stop')])).toMatchObject({
      kind: 'end',
      ending: { status: 'succeeded', result: { text: 'All done' } },
    });
    expect(plan([asked(1, 'All d', 'length')])).toEqual({ kind: 'ask' });
    expect(plan([asked(1, '', 'stop')])).toMatchObject({ kind: 'end', ending: { status: 'failed' } });
    expect(plan([asked(1, 'I will not', 'filtered')])).toMatchObject({ kind: 'end', ending: { status: 'failed' } });
  });

  test('text that no column can hold becomes text that one can', () => {
    const step = used(2, 'a', 'finish', {}, { text: 'a\0b\uD800c' });
    expect(plan([asked(1, calls(['a', 'finish', {}])), step])).toMatchObject({
      ending: { result: { text: 'a\uFFFDb\uFFFDc' } },
    });
  });
});

describe('the conversation', () => {
  const exchange = (number: number, output: Json): Step[] => [
    asked(number, calls([`c${number}`, 'run_command', { command: 'x' }])),
    used(number + 1, `c${number}`, 'run_command', output),
  ];

  test('is the prompt, then each answer with what the tools said to it', () => {
    const messages = conversation('Do it', exchange(1, { stdout: 'hi' }), model(100_000));
    expect(messages.map((message) => message.role)).toEqual(['user', 'assistant', 'tool']);
    expect(JSON.stringify(messages[2])).toContain('hi');
  });

  test('a reply that was cut off is followed by a word about it', () => {
    expect(conversation('Do it', [asked(1, 'and th', 'length')], model(100_000)).map(({ role }) => role)).toEqual([
      'user',
      'assistant',
      'user',
    ]);
  });

  test('long output loses its middle, by bytes and never within a limit that it keeps', () => {
    expect(shorten({ stdout: 'é'.repeat(50) }, 100)).toEqual({ stdout: 'é'.repeat(50) });
    const { stdout } = shorten({ stdout: `start${'x'.repeat(1_000)}end` }, 100) as { stdout: string };
    expect(stdout).toMatch(/^start[^]*bytes left out[^]*end$/);
    expect(stdout.length).toBeLessThan(150);
  });

  test('old output gives way to new output, and the newest is always there', () => {
    const steps = [1, 3, 5, 7].flatMap((number) => exchange(number, { stdout: `${number}`.repeat(3_000) }));
    const shown = conversation('Do it', steps, model(16_000)).map((message) => JSON.stringify(message));
    expect(shown[2]).toContain('left out');
    expect(shown.at(-1)).toContain('7777');
    const huge = conversation('Do it', exchange(1, { stdout: 'y'.repeat(200_000) }), model(2_000));
    expect(JSON.stringify(huge.at(-1))).toContain('yyyy');
    expect(JSON.stringify(huge.at(-1)).length).toBeLessThan(MAX_SHOWN_BYTES);
  });

  test('the bound on the next input is the last count and what was added, and bytes where nothing was counted', () => {
    const first = inputTokens(conversation('Do it', [], model(100_000)), []);
    expect(first.atMost).toBeGreaterThan(first.likely);
    const steps = exchange(1, { stdout: 'z'.repeat(500) });
    const { atMost, likely } = inputTokens(conversation('Do it', steps, model(100_000)), steps);
    expect(atMost).toBeGreaterThanOrEqual(100 + 10 + 500);
    expect(atMost).toBeLessThan(100 + 10 + 500 + 1_500);
    expect(likely).toBeLessThan(atMost - 300);
  });
});
