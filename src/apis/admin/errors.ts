import { z } from 'zod';
import type { AppError } from '../../kernel/errors.ts';
import { STATUS, type Answer } from '../contract.ts';

export const ErrorBody = z.strictObject({ error: z.string() });

/** The shape of the agents contract: the operator's routes stand beside its own. */
export const presentError = (error: AppError): Answer => ({
  status: STATUS[error.code],
  body: { error: error.message },
});
