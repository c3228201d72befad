import { toolCallsIn, textOf, type Json, type ToolCall } from '../models/index.ts';
import { exchangesIn } from './conversation.ts';
import type { ModelReply, Step, ToolStep } from './step.ts';
import { ENDINGS, type Ending } from './task.ts';
import { TOOL_INPUTS, type ToolInput } from './tools.ts';

/** Model calls of one task at the most, whatever they cost. */
export const MAX_MODEL_CALLS = 200;
const MAX_RESULT_CHARACTERS = 500_000;
const MAX_FAILURE_CHARACTERS = 2_000;
const MAX_JSON_CHARACTERS = 500_000;

/** What a running task does next. */
export type Plan = { kind: 'ask' } | { kind: 'use'; call: ToolCall } | { kind: 'end'; ending: Ending };

/** Decided by the recorded steps alone, so that a task goes on after a crash as if there had been none. */
export function plan(steps: readonly Step[]): Plan {
  const exchanges = exchangesIn(steps);
  const last = exchanges.at(-1);
  if (!last) return { kind: 'ask' };
  const finish = last.tools.map(finishIn).find((input) => input !== undefined);
  if (finish) return end(endingOf(finish));
  const calls = toolCallsIn(last.step.reply.message);
  const next = calls[last.tools.length];
  if (next) return { kind: 'use', call: next };
  if (calls.length === 0 && last.step.reply.finishReason !== 'length') return end(endingWithout(last.step.reply));
  if (exchanges.length >= MAX_MODEL_CALLS)
    return end(ENDINGS.executionError(`The task did not finish within ${MAX_MODEL_CALLS} model calls`));
  return { kind: 'ask' };
}

const end = (ending: Ending): Plan => ({ kind: 'end', ending });

function finishIn(step: ToolStep): ToolInput<'finish'> | undefined {
  if (step.call.name !== 'finish' || step.state !== 'finished') return undefined;
  return TOOL_INPUTS.finish.safeParse(step.call.input).data;
}

function endingOf({ text, json, failure }: ToolInput<'finish'>): Ending {
  const result = { text: storable(text.slice(0, MAX_RESULT_CHARACTERS)), json: jsonWithin(json) };
  if (failure === undefined) return { status: 'succeeded', result };
  return { ...ENDINGS.executionError(storable(failure.slice(0, MAX_FAILURE_CHARACTERS))), result };
}

/** A model that stops without calling `finish` has said its last word. */
function endingWithout(reply: ModelReply): Ending {
  const text = storable(textOf(reply.message).slice(0, MAX_RESULT_CHARACTERS));
  if (reply.finishReason === 'filtered')
    return { ...ENDINGS.executionError('The model refused to go on'), result: { text, json: null } };
  if (text === '') return ENDINGS.executionError('The model ended without a result');
  return { status: 'succeeded', result: { text, json: null } };
}

const jsonWithin = (json: unknown): Json =>
  json === undefined || JSON.stringify(json).length > MAX_JSON_CHARACTERS ? null : (json as Json);

/** Text as a database column can hold it. */
export const storable = (text: string): string => text.replaceAll('\0', '\uFFFD').toWellFormed();
