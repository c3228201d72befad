import type { z } from 'zod';
import { AppError, type FieldError, type Problem, type RequestPart } from '../kernel/errors.ts';
import type { Route } from './contract.ts';

/** JSON deeper than this is refused before any schema walks it. */
const MAX_JSON_DEPTH = 32;

export type RawInput = { params: unknown; query: unknown; body: unknown };

/** Parses path, query and body by the route's schemas. Throws `invalid` with every wrong field named. */
export function validate(route: Route, raw: RawInput): RawInput {
  const fields: FieldError[] = [];
  const parse = (part: RequestPart, schema: z.ZodType | undefined, value: unknown): unknown => {
    if (!schema) return undefined;
    const result = schema.safeParse(value, { reportInput: true });
    if (result.success) return result.data;
    fields.push(...result.error.issues.map((issue) => fieldError(part, issue)));
    return undefined;
  };
  // An id in the path that cannot exist is "not found"; handlers parse those, so params hold plain strings here.
  const params = parse('path', route.params, raw.params);
  const query = parse('query', route.query, raw.query);
  const body = parse('body', route.body, route.body && raw.body === undefined ? {} : raw.body);
  if (fields.length > 0) throw new AppError('invalid', fields.map((field) => field.message).join('; '), { fields });
  return { params, query, body };
}

/** Refuses text that no database column can hold and nesting that no honest client sends. */
export function refuseHostileJson(part: RequestPart, value: unknown): void {
  const pending: { value: unknown; path: string[] }[] = [{ value, path: [] }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { value: current, path } = next;
    if (path.length > MAX_JSON_DEPTH)
      throw malformed(part, [], `The request is nested deeper than ${MAX_JSON_DEPTH} levels`);
    if (typeof current === 'string') refuseHostileText(part, current, path.join('.') || 'The request', path);
    if (typeof current !== 'object' || current === null) continue;
    for (const [key, child] of Object.entries(current)) {
      refuseHostileText(part, key, 'A field name');
      pending.push({ value: child, path: [...path, key] });
    }
  }
}

export function refuseHostileText(part: RequestPart, text: string, name: string, path: string[] = []): void {
  if (text.includes('\0')) throw malformed(part, path, `${name} must not contain NUL characters`);
  if (!text.isWellFormed()) throw malformed(part, path, `${name} must be well-formed Unicode text`);
}

/** A refusal of one part of the request that no schema has worded. */
export const malformed = (part: RequestPart, path: string[], message: string): AppError =>
  new AppError('invalid', message, { fields: [{ in: part, path, message, problem: 'malformed' }] });

function fieldError(part: RequestPart, issue: z.core.$ZodIssue): FieldError {
  const path = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
  const name = path.join('.') || 'The request body';
  const message = issue.code === 'custom' ? issue.message : `${name} ${predicate(issue)}`;
  return { in: part, path, message, ...problemOf(issue) };
}

function problemOf(issue: z.core.$ZodIssue): { problem: Problem; expected?: string } {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return { problem: 'missing' };
      return { problem: 'wrong_type', expected: issue.expected === 'record' ? 'object' : issue.expected };
    case 'too_small':
      return { problem: hasLength(issue.origin) ? 'too_short' : 'too_small' };
    case 'too_big':
      return { problem: hasLength(issue.origin) ? 'too_long' : 'too_large' };
    case 'invalid_value':
      return { problem: issue.input === undefined ? 'missing' : 'not_a_choice' };
    case 'unrecognized_keys':
      return { problem: 'unknown_field' };
    default:
      return { problem: 'malformed' };
  }
}

const hasLength = (origin: string): boolean => origin === 'string' || origin === 'array';

/** What a field must be, worded to follow its name. */
function predicate(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `${issue.input === undefined ? 'is required and ' : ''}must be ${article(issue.expected)}`;
    case 'too_small':
      return `must ${size(issue.origin, 'at least', issue.minimum)}`;
    case 'too_big':
      return `must ${size(issue.origin, 'at most', issue.maximum)}`;
    case 'invalid_value':
      return `must be one of: ${issue.values.map(String).join(', ')}`;
    case 'unrecognized_keys':
      return `must not have: ${issue.keys.join(', ')}`;
    default:
      return issue.message.startsWith('must ') ? issue.message : `is not valid: ${issue.message}`;
  }
}

function article(expected: string): string {
  const noun = { int: 'integer', record: 'object' }[expected] ?? expected;
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`;
}

function size(origin: string, bound: string, limit: number | bigint): string {
  if (origin === 'string') return `be ${bound} ${limit} characters`;
  if (origin === 'array') return `have ${bound} ${limit} items`;
  return `be ${bound} ${limit}`;
}
