import { z } from 'zod';
import type { AppError } from '../../kernel/errors.ts';
import { STATUS, type Answer } from '../contract.ts';

/** Clause 2 of the sheet. Its client tells "not found" by the code in the body, so status and code are one number. */
export const ErrorBody = z.strictObject({
  code: z.int().meta({ description: 'The HTTP status.', examples: [404] }),
  message: z.string().meta({ examples: ['Sandbox not found'] }),
});

export const errorBody = (error: AppError): z.input<typeof ErrorBody> => ({
  code: STATUS[error.code],
  message: error.message,
});

export const presentError = (error: AppError): Answer => ({ status: STATUS[error.code], body: errorBody(error) });
