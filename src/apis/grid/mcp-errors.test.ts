import { expect, test } from 'vitest';
import { AppError, type AppErrorOptions, type Code } from '../../kernel/errors.ts';
import { McpErrorBody, presentMcpError } from './mcp-errors.ts';

const told = (code: Code, options: AppErrorOptions = {}) => {
  const { status, body } = presentMcpError(new AppError(code, 'Why.', options));
  expect(McpErrorBody.safeParse(body).success).toBe(true);
  return [status, body];
};
const field = (name: string, problem: 'not_a_choice' | 'too_small' | 'missing'): AppErrorOptions => ({
  fields: [{ in: 'body', path: [name], message: 'Why.', problem }],
});

test('each refusal of the bridge says what it is and what to do', () => {
  const [message] = ['Why.'];
  expect(told('invalid', field('capability', 'not_a_choice'))).toEqual([
    400,
    { error_type: 'INVALID_CAPABILITY', message, retry_hint: 'change_capability' },
  ]);
  expect(told('conflict', field('max_price', 'too_small'))).toEqual([
    400,
    { error_type: 'BAD_PAYLOAD', message, retry_hint: 'lower_capability_cost' },
  ]);
  expect(told('conflict')).toEqual([400, { error_type: 'GRID_ERROR', message, retry_hint: 'retry_later' }]);
  expect(told('unaffordable')).toEqual([
    402,
    { error_type: 'INSUFFICIENT_FUNDS', message, retry_hint: 'lower_max_price' },
  ]);
  expect(told('forbidden', field('capability', 'not_a_choice'))).toEqual([
    403,
    { error_type: 'SANDBOX_ISOLATION', message, retry_hint: 'change_capability' },
  ]);
  expect(told('not_found')).toEqual([404, { error_type: 'TASK_NOT_FOUND', message, retry_hint: 'contact_human' }]);
});

test('what is refused before the bridge is told in both forms', () => {
  expect(told('invalid', field('max_price', 'too_small'))).toEqual([
    422,
    {
      error_type: 'BAD_PAYLOAD',
      message: 'Why.',
      retry_hint: 'fix_payload',
      detail: [{ field: 'max_price', message: 'Why.' }],
    },
  ]);
  expect(told('unauthenticated')).toEqual([
    401,
    { error_type: 'GRID_ERROR', message: 'Why.', retry_hint: 'contact_human', detail: 'Why.' },
  ]);
  expect(told('rate_limited')[0]).toBe(429);
  // A key that may not do this is no wall between sandbox and production.
  expect(told('forbidden')[1]).toMatchObject({ error_type: 'GRID_ERROR', message: 'Why.' });
});
