import type { Usd } from '../../kernel/money.ts';
import type { AssistantMessage, FinishReason, Json, TokenUsage, ToolCall } from '../models/index.ts';

/**
 * One thing that a task did: asked its model, or used a tool. Steps are the task's memory: its conversation is made
 * from them, so whoever takes the task up goes on from the last one. `interrupted` means that the worker died or was
 * stopped in the middle, and that nobody knows how far the step came.
 */
export type Step = ModelStep | ToolStep;
export type StepState = 'started' | 'finished' | 'interrupted';

type Common = { number: number; state: StepState; startedAt: Date; finishedAt: Date | undefined };

export type ModelStep = Common & { kind: 'model'; reply: ModelReply | undefined };
export type ToolStep = Common & { kind: 'tool'; call: ToolCall; output: Json; exitCode?: number | undefined };

export type ModelReply = {
  message: AssistantMessage;
  finishReason: FinishReason;
  usage: TokenUsage;
  cost: Usd;
};
