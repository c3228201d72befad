import { APICallError } from 'ai';
import { describe, expect, test } from 'vitest';
import { delayBefore, failure, failureOf, MAX_ATTEMPTS } from './retry.ts';

const refused = (statusCode?: number, responseHeaders: Record<string, string> = {}) =>
  failureOf(
    new APICallError({
      message: 'no',
      url: 'http://127.0.0.1',
      requestBodyValues: {},
      ...(statusCode && { statusCode }),
      responseHeaders,
    }),
  );

describe('failures of a provider', () => {
  test.each([
    [undefined, 'unreachable', true],
    [429, 'rate_limited', true],
    [500, 'unavailable', true],
    [529, 'unavailable', true],
    [400, 'rejected', false],
    [404, 'rejected', false],
    [401, 'credential', false],
    [403, 'credential', false],
    [200, 'malformed', true],
  ])('status %s means %s', (status, reason, retryable) => {
    expect(refused(status)).toMatchObject({ reason, retryable });
  });

  test('Retry-After is honoured as seconds and as a date by the provider’s clock', () => {
    expect(refused(429, { 'retry-after': '2' }).retryAfterMs).toBe(2_000);
    const date = 'Sun, 01 Mar 2026 12:00:00 GMT';
    expect(refused(503, { date, 'retry-after': 'Sun, 01 Mar 2026 12:00:30 GMT' }).retryAfterMs).toBe(30_000);
    expect(refused(429, { 'retry-after': 'soon' }).retryAfterMs).toBeUndefined();
  });

  test('delays grow, end after the last attempt, and never outlast a patience of a minute', () => {
    const down = failure('unavailable');
    expect([2, 3, 4].map((attempt) => delayBefore(attempt, down))).toEqual([500, 1_000, 2_000]);
    expect(delayBefore(MAX_ATTEMPTS + 1, down)).toBeUndefined();
    expect(delayBefore(2, failure('rate_limited', 61_000))).toBeUndefined();
    expect(delayBefore(2, failure('rejected'))).toBeUndefined();
  });
});
