import { setTimeout as sleep } from 'node:timers/promises';
import { APICallError, generateText, jsonSchema, tool, type LanguageModelUsage, type ToolSet } from 'ai';
import { z } from 'zod';
import type { Usd } from '../../kernel/money.ts';
import type { Op } from '../../kernel/op.ts';
import { MINUTE } from '../../kernel/time.ts';
import type { Model } from './catalogue.ts';
import { toolCallsIn, type AssistantMessage, type Message, type ToolCall } from './message.ts';
import { costOf, NO_USAGE, type TokenUsage } from './price.ts';
import { CALL_OPTIONS, languageModel, type Providers, type RemoteProvider } from './providers.ts';
import { delayBefore, failure, failureOf, type Failure } from './retry.ts';
import { nextTurn } from './script.ts';

/** A tool as a model is told of it. What it does is the caller's. */
export type ToolSpec = { name: string; description: string; input: z.ZodType };

export type CallRequest = {
  model: Model;
  system: string;
  messages: readonly Message[];
  tools: readonly ToolSpec[];
  maxOutputTokens: number;
};

/** Why the model stopped: of itself, to have tools run, at the length limit, or because a filter stopped it. */
export type FinishReason = 'stop' | 'tool_calls' | 'length' | 'filtered';

export type CallOutcome =
  | {
      ok: true;
      message: AssistantMessage;
      text: string;
      toolCalls: ToolCall[];
      usage: TokenUsage;
      /** At list price, in micro-dollars, rounded up. */
      cost: Usd;
      finishReason: FinishReason;
    }
  | ({ ok: false; /** For the log: may quote the provider. */ detail: string } & Failure);

/** One HTTP exchange with a provider may take this long. */
const ATTEMPT_TIMEOUT_MS = 5 * MINUTE;
const MAX_DETAIL_CHARACTERS = 1_000;
/** No call has used more; a greater figure is a mistake, and larger than what keeps it. */
const MAX_TOKENS_USED = 2_000_000_000;

// The SDK prints its warnings to the console otherwise.
globalThis.AI_SDK_LOG_WARNINGS = false;

/** Asks a model for its next message. Trouble with the provider is an outcome, never an exception. */
export async function callModel(op: Op, providers: Providers, request: CallRequest): Promise<CallOutcome> {
  if (isScript(request.model)) return scripted(request.messages);
  const remote = { ...request, model: request.model as Model & { provider: RemoteProvider } };
  for (let attempt = 1; ; attempt++) {
    const outcome = await ask(op, providers, remote);
    if (outcome.ok) return outcome;
    const delayMs = delayBefore(attempt + 1, outcome);
    if (delayMs === undefined) return outcome;
    const woken = await sleep(delayMs, true, { signal: op.signal }).catch(() => false);
    if (!woken) return { ok: false, detail: outcome.detail, ...failure('aborted') };
  }
}

const isScript = (model: Model): boolean => model.provider === 'script';

function scripted(messages: readonly Message[]): CallOutcome {
  const turn = nextTurn(messages);
  return { ok: true, ...turn, usage: NO_USAGE, cost: 0n as Usd, finishReason: 'tool_calls' };
}

type RemoteRequest = CallRequest & { model: Model & { provider: RemoteProvider } };

async function ask(op: Op, providers: Providers, request: RemoteRequest): Promise<CallOutcome> {
  const timeout = AbortSignal.timeout(ATTEMPT_TIMEOUT_MS);
  try {
    const result = await generateText({
      model: languageModel(providers, request.model),
      instructions: request.system,
      messages: [...request.messages],
      tools: toolSet(request.tools),
      maxOutputTokens: request.maxOutputTokens,
      maxRetries: 0,
      abortSignal: AbortSignal.any([op.signal, timeout]),
      providerOptions: CALL_OPTIONS,
    });
    return answerOf(request.model, result);
  } catch (error) {
    const why = op.signal.aborted ? failure('aborted') : timeout.aborted ? failure('timeout') : failureOf(error);
    return { ok: false, detail: detailOf(error), ...why };
  }
}

/** Our loop runs the tools itself, so none has an `execute`: the SDK stops after one exchange. */
const toolSet = (tools: readonly ToolSpec[]): ToolSet =>
  Object.fromEntries(
    tools.map(({ name, description, input }) => [
      name,
      tool({ description, inputSchema: jsonSchema(schemaOf(input)) }),
    ]),
  );

function schemaOf(input: z.ZodType): Parameters<typeof jsonSchema>[0] {
  const { $schema: _version, ...schema } = z.toJSONSchema(input, { io: 'input' });
  return schema as Parameters<typeof jsonSchema>[0];
}

type Generated = Awaited<ReturnType<typeof generateText>>;

function answerOf(model: Model, result: Generated): CallOutcome {
  const usage = usageOf(result.usage);
  if (!usage && isPriced(model)) return { ok: false, detail: JSON.stringify(result.usage), ...failure('unmetered') };
  const { message, toolCalls } = replyIn(result);
  const metered = usage ?? NO_USAGE;
  return {
    ok: true,
    message,
    text: result.text,
    toolCalls,
    usage: metered,
    cost: costOf(model.prices, metered),
    finishReason: finishReasonOf(result.finishReason, toolCalls.length),
  };
}

/** The SDK adds results of its own for calls that it cannot parse; those are the caller's to answer. */
function replyIn({ response }: Generated): { message: AssistantMessage; toolCalls: ToolCall[] } {
  const found = response.messages.find((message): message is AssistantMessage => message.role === 'assistant');
  const message = found ?? { role: 'assistant', content: [] };
  return { message, toolCalls: toolCallsIn(message) };
}

const isPriced = ({ prices }: Model): boolean => Object.values(prices).some((price) => price > 0n);

/** The provider's own figures, or undefined where they are missing or make no sense. */
function usageOf(usage: LanguageModelUsage): TokenUsage | undefined {
  const { inputTokens, outputTokens, inputTokenDetails } = usage;
  const figures = {
    inputTokens: inputTokens ?? Number.NaN,
    cachedInputTokens: inputTokenDetails.cacheReadTokens ?? 0,
    cacheWriteTokens: inputTokenDetails.cacheWriteTokens ?? 0,
    outputTokens: outputTokens ?? Number.NaN,
  };
  const plausible =
    Object.values(figures).every((count) => Number.isInteger(count) && count >= 0 && count <= MAX_TOKENS_USED) &&
    figures.cachedInputTokens + figures.cacheWriteTokens <= figures.inputTokens;
  return plausible ? figures : undefined;
}

function finishReasonOf(reason: Generated['finishReason'], toolCalls: number): FinishReason {
  if (reason === 'content-filter') return 'filtered';
  if (reason === 'length') return 'length';
  return toolCalls > 0 ? 'tool_calls' : 'stop';
}

function detailOf(error: unknown): string {
  if (!APICallError.isInstance(error)) return String(error);
  return `${error.statusCode ?? 'no answer'}: ${error.message} ${error.responseBody ?? ''}`.slice(
    0,
    MAX_DETAIL_CHARACTERS,
  );
}
