import { z } from 'zod';
import {
  MAX_BUDGET_CENTS,
  MAX_PROMPT_LENGTH,
  MAX_TIMEOUT_SECONDS,
  MIN_BUDGET_CENTS,
  MIN_PROMPT_LENGTH,
  MIN_TIMEOUT_SECONDS,
} from '../../domains/tasks/index.ts';
import { Cents, Timestamp, Uuid } from './wire.ts';

/** Schemas of clause 1.7. */
const MAX_SLUG_LENGTH = 128;
const MAX_URL_LENGTH = 2_048;
const MAX_IDEMPOTENCY_KEY_LENGTH = 255;

export const Status = z.enum(['queued', 'provisioning', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled']);

export const NewTask = z.object({
  prompt: z
    .string()
    .min(MIN_PROMPT_LENGTH)
    .max(MAX_PROMPT_LENGTH)
    .meta({ examples: ['Scrape the top 10 HN stories and summarize them'] }),
  budget_cents: z
    .int()
    .min(MIN_BUDGET_CENTS)
    .max(MAX_BUDGET_CENTS)
    .meta({ examples: [100] }),
  timeout_seconds: z
    .int()
    .min(MIN_TIMEOUT_SECONDS)
    .max(MAX_TIMEOUT_SECONDS)
    .optional()
    .meta({ description: 'Default 600.', examples: [600] }),
  model_slug: z
    .string()
    .min(1)
    .max(MAX_SLUG_LENGTH)
    .optional()
    .meta({ examples: ['script'] }),
  webhook_url: z
    .string()
    .min(1)
    .max(MAX_URL_LENGTH)
    .optional()
    .meta({
      description: 'HTTPS address that is told when the task has ended.',
      examples: ['https://example.com/hook'],
    }),
  idempotency_key: z
    .string()
    .min(1)
    .max(MAX_IDEMPOTENCY_KEY_LENGTH)
    .optional()
    .meta({ description: 'The same key answers the same task again.', examples: ['hn-2026-03-07'] }),
});

export const TaskTaken = z.object({
  id: Uuid,
  status: Status,
  budget_cents: Cents.meta({ examples: [100] }),
  created_at: Timestamp,
  status_url: z.string().meta({ examples: ['/v1/tasks/550e8400-e29b-41d4-a716-446655440000'] }),
});

export const TaskListed = z.object({
  id: Uuid,
  status: Status,
  budget_cents: Cents,
  spent_cents: Cents,
  prompt_preview: z.string(),
  model_slug: z.string(),
  created_at: Timestamp,
  completed_at: Timestamp.nullable(),
});

const Cost = z
  .object({
    compute_seconds: z.int(),
    inference_microcents: z.int().meta({ description: 'At list price, in ten-thousandths of a cent.' }),
    compute_microcents: z.int().meta({ description: 'At list price, in ten-thousandths of a cent.' }),
    markup_bps: z.int(),
    spent_cents: Cents.meta({ description: 'Each component with the markup, rounded up to the cent.' }),
    refunded_cents: Cents.meta({
      description: 'What of the budget was given back when the task ended.',
    }),
  })
  .meta({ description: 'So far, until the task has ended.' });

/** A task whose money adds up: ceil(32 × 1.1) + ceil(5 × 1.1) cents. */
const SUCCEEDED = {
  id: '550e8400-e29b-41d4-a716-446655440000',
  status: 'succeeded',
  budget_cents: 100,
  cost: {
    compute_seconds: 1_200,
    inference_microcents: 320_000,
    compute_microcents: 50_000,
    markup_bps: 1_000,
    spent_cents: 42,
    refunded_cents: 58,
  },
  result: { text: 'Here are the top 10 stories…', json: null },
  created_at: '2026-03-13T12:00:00.000Z',
  started_at: '2026-03-13T12:00:01.000Z',
  completed_at: '2026-03-13T12:20:01.000Z',
};

export const TaskShown = z
  .object({
    id: Uuid,
    status: Status,
    budget_cents: Cents,
    cost: Cost,
    result: z
      .object({ text: z.string(), json: z.unknown() })
      .optional()
      .meta({ description: 'Of a task that did not succeed: as much as there was.' }),
    error: z
      .object({
        code: z.enum(['EXECUTION_ERROR', 'TIMEOUT', 'BUDGET_EXHAUSTED', 'PROVISIONING_FAILED', 'CANCELLED']),
        message: z.string(),
      })
      .optional(),
    created_at: Timestamp,
    started_at: Timestamp.nullable(),
    completed_at: Timestamp.nullable(),
  })
  .meta({ examples: [SUCCEEDED] });

const stepCommon = {
  number: z.int(),
  state: z.enum(['started', 'finished', 'interrupted']),
  started_at: Timestamp,
  finished_at: Timestamp.nullable(),
};

export const StepShown = z.discriminatedUnion('kind', [
  z.object({
    ...stepCommon,
    kind: z.literal('model'),
    text: z.string().nullable().meta({ description: 'What the model said beside its calls.' }),
    tool_calls: z.array(z.object({ id: z.string(), tool: z.string(), input: z.unknown() })),
    input_tokens: z.int().nullable(),
    cached_input_tokens: z.int().nullable(),
    output_tokens: z.int().nullable(),
    cost_microcents: z.int().nullable(),
  }),
  z.object({
    ...stepCommon,
    kind: z.literal('tool'),
    call_id: z.string(),
    tool: z.string(),
    input: z.unknown(),
    output: z.unknown(),
    exit_code: z.int().nullable(),
  }),
]);
