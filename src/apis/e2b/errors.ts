import { z } from 'zod';
import type { AppError, Code } from '../../kernel/errors.ts';
import type { Answer } from '../contract.ts';

/** Clause 2 of the sheet. Its client tells "not found" by the code in the body, so status and code are one number. */
export const STATUS = {
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

export const ErrorBody = z.strictObject({
  code: z.int().meta({ description: 'The HTTP status.', examples: [404] }),
  message: z.string().meta({ examples: ['Sandbox not found'] }),
});

export const errorBody = (error: AppError): z.input<typeof ErrorBody> => ({
  code: STATUS[error.code],
  message: error.message,
});

export const presentError = (error: AppError): Answer => ({ status: STATUS[error.code], body: errorBody(error) });
