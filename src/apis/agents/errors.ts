import { z } from 'zod';
import type { AppError } from '../../kernel/errors.ts';
import { STATUS, type Answer } from '../contract.ts';

export const ErrorBody = z.strictObject({ error: z.string().meta({ examples: ['Invalid API key'] }) });

export const presentError = (error: AppError): Answer => ({
  status: STATUS[error.code],
  body: { error: error.message } satisfies z.input<typeof ErrorBody>,
});
