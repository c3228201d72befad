import { z } from 'zod';
import type { AppError, Code } from '../../kernel/errors.ts';
import type { Answer } from '../contract.ts';

/** The statuses of the seed; what it does not name has the usual one. */
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

const Detail = z.strictObject({
  in: z.enum(['path', 'query', 'body', 'header']),
  field: z.string().meta({ description: 'Empty for the whole of it.', examples: ['planId'] }),
  message: z.string().meta({ examples: ['planId is required and must be a string'] }),
});

/** `details` with status 400: what is wrong, and where. */
export const ErrorBody = z.strictObject({
  error: z.string().meta({ examples: ['Server not found'] }),
  details: z.array(Detail).optional(),
});

export function presentError(error: AppError): Answer {
  const details = error.fields.map((field) => ({
    in: field.in,
    field: field.path.join('.'),
    message: field.message,
  }));
  const whole = { in: 'body', field: '', message: error.message } as const;
  return {
    status: STATUS[error.code],
    body: {
      error: error.message,
      ...(error.code === 'invalid' && { details: details.length > 0 ? details : [whole] }),
    } satisfies z.input<typeof ErrorBody>,
    ...(error.code === 'unauthenticated' && { headers: { 'www-authenticate': 'Bearer' } }),
  };
}
