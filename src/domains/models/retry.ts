import { APICallError } from 'ai';
import { SECOND } from '../../kernel/time.ts';

/** Why a call brought nothing. The loop above ends a task with it; nothing of the provider's own words is shown. */
export type FailureReason =
  | 'aborted'
  | 'timeout'
  | 'rate_limited'
  | 'unavailable' // 5xx
  | 'unreachable' // no HTTP answer at all
  | 'credential' // the operator's key was refused
  | 'rejected' // another 4xx: the request itself
  | 'malformed' // an answer that the protocol does not allow
  | 'unmetered'; // an answer without the usage that it is billed by

export type Failure = { reason: FailureReason; message: string; retryable: boolean; retryAfterMs?: number };

const MESSAGES: Record<FailureReason, string> = {
  aborted: 'The model call was stopped',
  timeout: 'The model provider did not answer in time',
  rate_limited: 'The model provider is rate limiting us',
  unavailable: 'The model provider is failing',
  unreachable: 'The model provider cannot be reached',
  credential: 'The model provider refused the credential of this server',
  rejected: 'The model provider refused the request',
  malformed: 'The model provider gave a malformed answer',
  unmetered: 'The model provider did not say how many tokens it used',
};
const RETRYABLE: ReadonlySet<FailureReason> = new Set([
  'timeout',
  'rate_limited',
  'unavailable',
  'unreachable',
  'malformed',
]);

export const MAX_ATTEMPTS = 4;
const FIRST_DELAY_MS = 500;
/** A provider that asks for more patience than this is treated as not available. */
const MAX_DELAY_MS = 60 * SECOND;

export const failure = (reason: FailureReason, retryAfterMs?: number): Failure => ({
  reason,
  message: MESSAGES[reason],
  retryable: RETRYABLE.has(reason),
  ...(retryAfterMs !== undefined && { retryAfterMs }),
});

/** What a thrown error of the SDK means. */
export function failureOf(error: unknown): Failure {
  if (!APICallError.isInstance(error)) return failure('malformed');
  const { statusCode, responseHeaders = {} } = error;
  if (statusCode === undefined) return failure('unreachable');
  if (statusCode === 429) return failure('rate_limited', waitAskedFor(responseHeaders));
  if (statusCode === 401 || statusCode === 403) return failure('credential');
  if (statusCode >= 500 || statusCode === 408 || statusCode === 409)
    return failure('unavailable', waitAskedFor(responseHeaders));
  return failure(statusCode >= 400 ? 'rejected' : 'malformed');
}

/** Milliseconds to wait before the next attempt; undefined where another attempt makes no sense. */
export function delayBefore(nextAttempt: number, failed: Failure): number | undefined {
  if (!failed.retryable || nextAttempt > MAX_ATTEMPTS) return undefined;
  const delay = failed.retryAfterMs ?? FIRST_DELAY_MS * 2 ** (nextAttempt - 2);
  return delay > MAX_DELAY_MS ? undefined : delay;
}

/** `Retry-After` in either form; a date is read against the provider's own clock, which need not agree with ours. */
function waitAskedFor(headers: Record<string, string>): number | undefined {
  const given = headers['retry-after'] ?? '';
  const seconds = given === '' ? Number.NaN : Number(given);
  const wait = Number.isNaN(seconds) ? Date.parse(given) - Date.parse(headers['date'] ?? '') : seconds * SECOND;
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}
