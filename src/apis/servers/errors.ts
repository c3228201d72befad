import { z } from 'zod';
import type { AppError } from '../../kernel/errors.ts';
import { STATUS, type Answer } from '../contract.ts';

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
