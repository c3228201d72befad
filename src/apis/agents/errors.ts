import { z } from 'zod';
import type { AppError, Code } from '../../kernel/errors.ts';
import type { Answer } from '../contract.ts';

/** Clause 1.1 of the sheet: the status of everything that can go wrong. */
const STATUS = {
  invalid: 400,
  unauthenticated: 401,
  unaffordable: 402,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  too_large: 413,
  unsupported_media: 415,
  rate_limited: 429,
  internal: 500,
  unconfigured: 503,
  at_capacity: 503,
} as const satisfies Record<Code, number>;

export const ErrorBody = z.strictObject({ error: z.string().meta({ examples: ['Invalid API key'] }) });

export const presentError = (error: AppError): Answer => ({
  status: STATUS[error.code],
  body: { error: error.message } satisfies z.input<typeof ErrorBody>,
});
