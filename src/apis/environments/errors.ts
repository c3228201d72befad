import { z } from 'zod';
import type { AppError, FieldError, Problem } from '../../kernel/errors.ts';
import { STATUS, type Answer } from '../contract.ts';

/** FastAPI's status for what a schema refuses: every `invalid` names a field, if only the whole body. */
const WRONG_INPUT = 422;

const ValidationError = z.strictObject({
  loc: z.array(z.union([z.string(), z.int()])).meta({ examples: [['body', 'code']] }),
  msg: z.string().meta({ examples: ['code is required and must be a string'] }),
  type: z.string().meta({ examples: ['missing'] }),
});

/** A sentence, or with status 422 a list of what is wrong and where. */
export const ErrorBody = z.strictObject({
  detail: z.union([z.string(), z.array(ValidationError)]).meta({ examples: ['Invalid API key'] }),
});

export function presentError(error: AppError): Answer {
  const fields = error.code === 'invalid' && error.fields.length === 0 ? [wholeBody(error.message)] : error.fields;
  // An Idempotency-Key that was used for something else is wrong input here, as everything is that names a field.
  const isWrongInput = fields.length > 0;
  return {
    status: isWrongInput ? WRONG_INPUT : STATUS[error.code],
    body: { detail: isWrongInput ? fields.map(presentField) : error.message } satisfies z.input<typeof ErrorBody>,
    ...(error.code === 'unauthenticated' && { headers: { 'www-authenticate': 'Bearer' } }),
  };
}

const wholeBody = (message: string): FieldError => ({ in: 'body', path: [], message, problem: 'malformed' });

const presentField = (field: FieldError): z.input<typeof ValidationError> => ({
  loc: [field.in, ...field.path],
  msg: field.message,
  type: typeOf(field),
});

/** What Pydantic calls each problem. */
const TYPE = {
  missing: 'missing',
  too_short: 'string_too_short',
  too_long: 'string_too_long',
  too_small: 'greater_than_equal',
  too_large: 'less_than_equal',
  not_a_choice: 'literal_error',
  unknown_field: 'extra_forbidden',
  malformed: 'value_error',
} as const satisfies Record<Exclude<Problem, 'wrong_type'>, string>;

/** Every number of this contract is a whole one. */
const EXPECTED: Record<string, string> = {
  string: 'string_type',
  int: 'int_type',
  number: 'int_type',
  boolean: 'bool_type',
  array: 'list_type',
  object: 'model_attributes_type',
};

function typeOf({ problem, expected = '', in: part }: FieldError): string {
  if (problem !== 'wrong_type') return TYPE[problem];
  // What is written in a URL is text, which can only be read wrongly.
  return part === 'query' && expected === 'int' ? 'int_parsing' : (EXPECTED[expected] ?? 'value_error');
}
