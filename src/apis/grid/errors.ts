import { z } from 'zod';
import type { AppError, FieldError } from '../../kernel/errors.ts';
import { STATUS, type Answer } from '../contract.ts';

const WRONG_INPUT = 422;

const WrongField = z.strictObject({
  field: z.string().meta({ examples: ['node_id'] }),
  message: z.string().meta({ examples: ['node_id must be at least 3 characters'] }),
});

/** What `/v1/mission-protocol` answers to everybody. */
export const NotForHumans = z.strictObject({
  error: z.literal('Human interface not supported'),
  blueprint_v1: z.url(),
  mission_protocol_pdf: z.url(),
  vision: z.string(),
});

/** A sentence, or with status 422 what is wrong with each field; `error` is of what was refused before any route. */
export const ErrorBody = z.union([
  z.strictObject({ detail: z.union([z.string(), z.array(WrongField)]) }),
  z.strictObject({
    error: z.string(),
    mission_protocol: z.string().optional(),
    reason: z.string().optional(),
  }),
  NotForHumans,
]);

/** What this contract's clients look for, where the host says it in its own words. */
const WORDS: Record<string, string> = {
  'Invalid API key': 'Invalid API Key format',
  'The access token is invalid or has expired': 'Invalid token: it is not one of ours, or has expired',
  'The admin key is missing': 'Missing admin Authorization header',
  'Invalid admin key': 'Unauthorized',
};

export function presentError(error: AppError): Answer {
  const { code, fields, message } = error;
  const isWrongInput = fields.length > 0;
  return {
    status: isWrongInput ? WRONG_INPUT : STATUS[code],
    body: { detail: isWrongInput ? fields.map(presentField) : (WORDS[message] ?? message) },
    ...(code === 'unauthenticated' && { headers: { 'www-authenticate': 'Bearer' } }),
  };
}

const presentField = ({ in: part, path, message }: FieldError): z.input<typeof WrongField> => ({
  field: path.length > 0 ? path.join('.') : part,
  message,
});
