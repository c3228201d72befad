import { z } from 'zod';
import type { AppError, Code } from '../../kernel/errors.ts';
import type { Answer } from '../contract.ts';
import { ErrorBody, presentError } from './errors.ts';

/** What went wrong and what to do about it, in words that a program can branch on. */
const ERROR_TYPES = [
  'INVALID_CAPABILITY',
  'BAD_PAYLOAD',
  'GRID_ERROR',
  'INSUFFICIENT_FUNDS',
  'SANDBOX_ISOLATION',
  'TASK_NOT_FOUND',
] as const;
const RETRY_HINTS = [
  'change_capability',
  'lower_capability_cost',
  'lower_max_price',
  'fix_payload',
  'retry_later',
  'contact_human',
] as const;

const Told = z.strictObject({
  error_type: z.enum(ERROR_TYPES),
  message: z.string(),
  retry_hint: z.enum(RETRY_HINTS),
});
/** What is refused before the bridge is reached is told in the words of the other contracts too. */
const ToldTwice = Told.extend({ detail: z.union([z.string(), z.array(z.looseObject({ field: z.string() }))]) });
export const McpErrorBody = z.union([Told, ToldTwice, ErrorBody]);

type Verdict = Omit<z.output<typeof Told>, 'message'>;

const VERDICTS = {
  invalid: { error_type: 'BAD_PAYLOAD', retry_hint: 'lower_max_price' },
  conflict: { error_type: 'GRID_ERROR', retry_hint: 'retry_later' },
  unaffordable: { error_type: 'INSUFFICIENT_FUNDS', retry_hint: 'lower_max_price' },
  forbidden: { error_type: 'GRID_ERROR', retry_hint: 'contact_human' },
  not_found: { error_type: 'TASK_NOT_FOUND', retry_hint: 'contact_human' },
  unauthenticated: { error_type: 'GRID_ERROR', retry_hint: 'contact_human' },
  method_not_allowed: { error_type: 'GRID_ERROR', retry_hint: 'contact_human' },
  too_large: { error_type: 'BAD_PAYLOAD', retry_hint: 'fix_payload' },
  unsupported_media: { error_type: 'BAD_PAYLOAD', retry_hint: 'fix_payload' },
  rate_limited: { error_type: 'GRID_ERROR', retry_hint: 'retry_later' },
  at_capacity: { error_type: 'GRID_ERROR', retry_hint: 'retry_later' },
  unconfigured: { error_type: 'GRID_ERROR', retry_hint: 'contact_human' },
  internal: { error_type: 'GRID_ERROR', retry_hint: 'retry_later' },
} as const satisfies Record<Code, Verdict>;

const STATUS: Partial<Record<Code, number>> = {
  invalid: 400,
  conflict: 400,
  unaffordable: 402,
  forbidden: 403,
  not_found: 404,
};

/** Errors of the bridge. A field that the grid itself has refused is one that another value would mend. */
export function presentMcpError(error: AppError): Answer {
  const { code, message } = error;
  const verdict = ofField(error) ?? (error.fields.length === 0 ? VERDICTS[code] : undefined);
  const status = verdict && STATUS[code];
  if (verdict && status !== undefined) return { status, body: { ...verdict, message } satisfies z.input<typeof Told> };
  const whole = presentError(error);
  const wrongInput: Verdict = { error_type: 'BAD_PAYLOAD', retry_hint: 'fix_payload' };
  return { ...whole, body: { ...(verdict ?? wrongInput), message, ...(whole.body as object) } };
}

function ofField({ code, fields: [field] }: AppError): Verdict | undefined {
  if (field?.in !== 'body') return undefined;
  const name = field.path.join('.');
  if (code === 'invalid' && name === 'capability' && field.problem === 'not_a_choice')
    return { error_type: 'INVALID_CAPABILITY', retry_hint: 'change_capability' };
  if (code === 'forbidden' && name === 'capability')
    return { error_type: 'SANDBOX_ISOLATION', retry_hint: 'change_capability' };
  if (code === 'conflict' && name === 'max_price')
    return { error_type: 'BAD_PAYLOAD', retry_hint: 'lower_capability_cost' };
  return undefined;
}
