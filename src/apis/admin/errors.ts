import { z } from 'zod';
import type { AppError } from '../../kernel/errors.ts';
import type { Answer } from '../contract.ts';
import { STATUS } from '../statuses.ts';

export const ErrorBody = z.strictObject({ error: z.string() });

/** The shape of the agents contract: the operator's routes stand beside its own. */
export const presentError = (error: AppError): Answer => ({
  status: STATUS[error.code],
  body: { error: error.message },
});
