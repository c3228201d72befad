import { z } from 'zod';
import type { Answer } from '../apis/contract.ts';
import type { AppError, Code } from '../kernel/errors.ts';

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

export const ErrorBody = z.object({ error: z.string() });

export const presentError = (error: AppError): Answer => ({
  status: STATUS[error.code],
  body: { error: error.message } satisfies z.input<typeof ErrorBody>,
});
