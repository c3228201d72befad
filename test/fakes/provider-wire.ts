import { randomBytes } from 'node:crypto';
import type { Reply } from './provider.ts';

/** The three protocols' ways to say the same message. */
export type Said = Extract<Reply, { kind: 'message' }>;

const DEFAULT_USAGE = { input: 100, output: 10 };
const newCallId = () => `call_${randomBytes(8).toString('hex')}`;

const usageOf = ({ usage }: Said) => (usage === null ? null : { cached: 0, cacheWrite: 0, ...DEFAULT_USAGE, ...usage });

export function anthropicReply(model: string, said: Said) {
  const usage = usageOf(said);
  const calls = said.toolCalls ?? [];
  return {
    id: `msg_${randomBytes(8).toString('hex')}`,
    type: 'message',
    role: 'assistant',
    model,
    content: [
      ...(said.text ? [{ type: 'text', text: said.text }] : []),
      ...calls.map(({ name, input }) => ({ type: 'tool_use', id: newCallId(), name, input })),
    ],
    stop_reason:
      said.stop === 'length'
        ? 'max_tokens'
        : said.stop === 'filtered'
          ? 'refusal'
          : calls.length > 0
            ? 'tool_use'
            : 'end_turn',
    stop_sequence: null,
    ...(usage && {
      usage: {
        // Anthropic counts cached input beside the rest, not within it.
        input_tokens: usage.input - usage.cached - usage.cacheWrite,
        cache_read_input_tokens: usage.cached,
        cache_creation_input_tokens: usage.cacheWrite,
        output_tokens: usage.output,
      },
    }),
  };
}

export function chatReply(model: string, said: Said) {
  const usage = usageOf(said);
  const calls = said.toolCalls ?? [];
  return {
    id: `chatcmpl-${randomBytes(8).toString('hex')}`,
    object: 'chat.completion',
    created: 1_790_000_000,
    model,
    choices: [
      {
        index: 0,
        finish_reason:
          said.stop === 'length'
            ? 'length'
            : said.stop === 'filtered'
              ? 'content_filter'
              : calls.length > 0
                ? 'tool_calls'
                : 'stop',
        message: {
          role: 'assistant',
          content: said.text ?? null,
          ...(calls.length > 0 && {
            tool_calls: calls.map(({ name, input }) => ({
              id: newCallId(),
              type: 'function',
              function: { name, arguments: text(input) },
            })),
          }),
        },
      },
    ],
    ...(usage && {
      usage: {
        prompt_tokens: usage.input,
        completion_tokens: usage.output,
        total_tokens: usage.input + usage.output,
        prompt_tokens_details: { cached_tokens: usage.cached },
      },
    }),
  };
}

export function responsesReply(model: string, said: Said) {
  const usage = usageOf(said);
  const calls = said.toolCalls ?? [];
  return {
    id: `resp_${randomBytes(8).toString('hex')}`,
    object: 'response',
    created_at: 1_790_000_000,
    status: said.stop ? 'incomplete' : 'completed',
    model,
    incomplete_details: said.stop ? { reason: said.stop === 'length' ? 'max_output_tokens' : 'content_filter' } : null,
    output: [
      ...(said.text
        ? [
            {
              type: 'message',
              id: `msg_${randomBytes(8).toString('hex')}`,
              role: 'assistant',
              status: 'completed',
              content: [{ type: 'output_text', text: said.text, annotations: [] }],
            },
          ]
        : []),
      ...calls.map(({ name, input }) => ({
        type: 'function_call',
        id: `fc_${randomBytes(8).toString('hex')}`,
        call_id: newCallId(),
        name,
        arguments: text(input),
        status: 'completed',
      })),
    ],
    ...(usage && {
      usage: {
        input_tokens: usage.input,
        input_tokens_details: { cached_tokens: usage.cached },
        output_tokens: usage.output,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: usage.input + usage.output,
      },
    }),
  };
}

/** A string stands for itself, so that a test can send arguments that are not JSON. */
const text = (input: unknown): string => (typeof input === 'string' ? input : JSON.stringify(input));
