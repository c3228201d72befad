import { z } from 'zod';
import { toolCallsIn, toolResults, userMessage, type Json, type Message, type Model } from '../models/index.ts';
import { CUT_OFF_NOTE, SYSTEM_PROMPT } from './prompt.ts';
import type { ModelReply, ModelStep, Step, ToolStep } from './step.ts';
import { TOOLS } from './tools.ts';

/** One text in a tool's output may fill this part of the model's context, and never more than `MAX_SHOWN_BYTES`. */
const CONTEXT_SHARE = 12;
export const MAX_SHOWN_BYTES = 65_536;
/** Outputs older than the newest ones that fill this part of the context, at a token for every byte, are left out. */
const OUTPUTS_SHARE = 2;
const LEFT_OUT = 'left out to save room; run the tool again if it is needed';
const BYTES_IN_A_TOKEN = 3;
/** Tokens that providers add of their own: the frame of messages and tool descriptions. */
const FRAME_TOKENS = 1_000;

type Exchange = { step: ModelStep & { reply: ModelReply }; tools: ToolStep[] };

/** Each answer of the model with the uses of tools that followed it. */
export function exchangesIn(steps: readonly Step[]): Exchange[] {
  const exchanges: Exchange[] = [];
  for (const step of steps) {
    if (step.kind === 'tool') exchanges.at(-1)?.tools.push(step);
    else if (step.reply) exchanges.push({ step: { ...step, reply: step.reply }, tools: [] });
  }
  return exchanges;
}

/** What the model is to see next: the prompt, its own answers and what the tools said to them. */
export function conversation(prompt: string, steps: readonly Step[], model: Model): Message[] {
  const exchanges = exchangesIn(steps);
  const shown = shownOutputs(exchanges, model);
  return [
    userMessage(prompt),
    ...exchanges.flatMap((exchange) => [exchange.step.reply.message, answerTo(exchange, shown)]),
  ];
}

function answerTo({ step, tools }: Exchange, shown: ReadonlyMap<ToolStep, Json>): Message {
  if (toolCallsIn(step.reply.message).length === 0) return userMessage(CUT_OFF_NOTE);
  return toolResults(
    tools.map((tool) => ({
      callId: tool.call.id,
      name: tool.call.name,
      output: shown.get(tool) ?? { note: LEFT_OUT },
    })),
  );
}

/** Outputs from the newest back, each shortened, as far as the room for them goes. */
function shownOutputs(exchanges: readonly Exchange[], model: Model): ReadonlyMap<ToolStep, Json> {
  const shown = new Map<ToolStep, Json>();
  let roomBytes = model.contextLength / OUTPUTS_SHARE;
  for (const tool of exchanges.flatMap((exchange) => exchange.tools).toReversed()) {
    const output = shorten(tool.output, Math.min(MAX_SHOWN_BYTES, Math.floor(model.contextLength / CONTEXT_SHARE)));
    roomBytes -= jsonBytes(output);
    if (roomBytes < 0 && shown.size > 0) break;
    shown.set(tool, output);
  }
  return shown;
}

/** Cuts the middle out of every text of an output that is longer than so many bytes. */
export function shorten(output: Json, maxBytes: number): Json {
  if (typeof output === 'string') return cutMiddle(output, maxBytes);
  if (typeof output !== 'object' || output === null || Array.isArray(output)) return output;
  return Object.fromEntries(
    Object.entries(output).map(([key, value]) => [key, value === undefined ? null : shorten(value, maxBytes)]),
  );
}

function cutMiddle(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  const half = Math.floor(maxBytes / 2);
  const left = bytes.length - 2 * half;
  return `${bytes.subarray(0, half).toString()}\n[… ${left} bytes left out …]\n${bytes.subarray(-half).toString()}`;
}

/**
 * Tokens of the next request. For all that the model has seen before, the provider's own count of the last call
 * stands. What has not been counted yet is bounded by its bytes, since a token is at least one; what it will likely
 * come to is a third of that.
 */
export function inputTokens(messages: readonly Message[], steps: readonly Step[]): { atMost: number; likely: number } {
  const last = exchangesIn(steps).at(-1)?.step.reply;
  const isCounted = last !== undefined && last.usage.inputTokens > 0;
  const counted = isCounted ? last.usage.inputTokens + last.usage.outputTokens + FRAME_TOKENS : FRAME_TOKENS;
  const bytes = isCounted ? jsonBytes(messages.at(-1) ?? '') : jsonBytes(messages) + FIXED_BYTES;
  return { atMost: counted + bytes, likely: counted + Math.ceil(bytes / BYTES_IN_A_TOKEN) };
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

const FIXED_BYTES =
  Buffer.byteLength(SYSTEM_PROMPT) +
  jsonBytes(TOOLS.map(({ name, description, input }) => [name, description, z.toJSONSchema(input, { io: 'input' })]));
