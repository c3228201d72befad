import { z } from 'zod';
import { STATUS, type Answer } from '../apis/contract.ts';
import type { AppError } from '../kernel/errors.ts';

export const ErrorBody = z.object({ error: z.string() });

export const presentError = (error: AppError): Answer => ({
  status: STATUS[error.code],
  body: { error: error.message } satisfies z.input<typeof ErrorBody>,
});
