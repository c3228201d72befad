import type { z } from 'zod';
import { textOf, toolCallsIn } from '../../domains/models/index.ts';
import {
  costNow,
  hasEnded,
  MARKUP_BPS,
  type ListedTask,
  type ModelStep,
  type Step,
  type Task,
} from '../../domains/tasks/index.ts';
import type { StepShown, TaskListed, TaskShown, TaskTaken } from './task-wire.ts';

const PREVIEW_CHARACTERS = 100;

export const presentTaken = (task: Task): z.input<typeof TaskTaken> => ({
  id: task.id,
  status: task.status,
  budget_cents: task.budgetCents,
  created_at: task.createdAt.toISOString(),
  status_url: `/v1/tasks/${task.id}`,
});

export const presentListed = (task: ListedTask, now: Date): z.input<typeof TaskListed> => ({
  id: task.id,
  status: task.status,
  budget_cents: task.budgetCents,
  spent_cents: costNow(task, now).spentCents,
  prompt_preview: preview(task.prompt),
  model_slug: task.modelSlug,
  created_at: task.createdAt.toISOString(),
  completed_at: task.completedAt?.toISOString() ?? null,
});

function preview(prompt: string): string {
  const characters = Array.from(prompt);
  return characters.length <= PREVIEW_CHARACTERS ? prompt : `${characters.slice(0, PREVIEW_CHARACTERS).join('')}...`;
}

/** A task as its owner sees it, also as it is told by webhook. */
export function presentTask(task: Task, now: Date): z.input<typeof TaskShown> {
  const cost = costNow(task, now);
  return {
    id: task.id,
    status: task.status,
    budget_cents: task.budgetCents,
    cost: {
      compute_seconds: cost.computeSeconds,
      inference_microcents: Number(cost.inference),
      compute_microcents: Number(cost.compute),
      markup_bps: Number(MARKUP_BPS),
      spent_cents: cost.spentCents,
      refunded_cents: hasEnded(task.status) ? task.budgetCents - cost.spentCents : 0,
    },
    ...(task.result && { result: task.result }),
    ...(task.error && { error: task.error }),
    created_at: task.createdAt.toISOString(),
    started_at: task.startedAt?.toISOString() ?? null,
    completed_at: task.completedAt?.toISOString() ?? null,
  };
}

export function presentStep(step: Step): z.input<typeof StepShown> {
  const common = {
    number: step.number,
    state: step.state,
    started_at: step.startedAt.toISOString(),
    finished_at: step.finishedAt?.toISOString() ?? null,
  };
  if (step.kind === 'model') return { ...common, ...presentReply(step), kind: 'model' };
  const { id, name, input } = step.call;
  return {
    ...common,
    kind: 'tool',
    call_id: id,
    tool: name,
    input,
    output: step.output,
    exit_code: step.exitCode ?? null,
  };
}

const presentReply = ({ reply }: ModelStep) => ({
  text: reply ? textOf(reply.message) : null,
  tool_calls: reply ? toolCallsIn(reply.message).map(({ id, name, input }) => ({ id, tool: name, input })) : [],
  input_tokens: reply?.usage.inputTokens ?? null,
  cached_input_tokens: reply?.usage.cachedInputTokens ?? null,
  output_tokens: reply?.usage.outputTokens ?? null,
  cost_microcents: reply ? Number(reply.cost) : null,
});
