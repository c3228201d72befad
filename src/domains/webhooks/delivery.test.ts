import { expect, test } from 'vitest';
import { HOUR, SECOND, elapsedMs } from '../../kernel/time.ts';
import type { Outcome } from '../../platform/fetch.ts';
import { BRISK, PATIENT, judge as judgeBy } from './delivery.ts';

const NOON = new Date('2026-01-01T12:00:00.000Z');
const judge = (attempt: number, outcome: Outcome, now: Date) => judgeBy(attempt, outcome, now, PATIENT);
const reply = (status: number): Outcome => ({ ok: true, status, body: '' });

test.each([200, 201, 204, 299])('a reply of %i delivers', (status) => {
  expect(judge(1, reply(status), NOON)).toEqual({ state: 'delivered', at: NOON, code: status, error: null });
});

test.each([199, 400, 404, 429, 500, 503])('a reply of %i is tried again', (status) => {
  expect(judge(1, reply(status), NOON)).toMatchObject({ state: 'failed', code: status, error: `status ${status}` });
});

test('a redirect is told with its status and tried again', () => {
  const outcome: Outcome = { ok: false, reason: 'redirect', status: 308 };
  expect(judge(1, outcome, NOON)).toMatchObject({ state: 'failed', code: 308, error: 'redirect' });
});

test('410 and a URL that can never work are given up at once', () => {
  expect(judge(1, reply(410), NOON)).toEqual({ state: 'exhausted', at: NOON, code: 410, error: 'status 410' });
  const outcome: Outcome = { ok: false, reason: 'invalid_url' };
  expect(judge(1, outcome, NOON)).toEqual({ state: 'exhausted', at: NOON, code: null, error: 'invalid_url' });
});

test('attempts grow further apart, and after almost a day of them the delivery is exhausted', () => {
  const outcome: Outcome = { ok: false, reason: 'timeout' };
  const waits: number[] = [];
  let at = NOON;
  let attempt = 1;
  for (let verdict = judge(attempt, outcome, at); verdict.state === 'failed'; verdict = judge(++attempt, outcome, at)) {
    waits.push(elapsedMs(at, verdict.at));
    at = verdict.at;
  }
  expect(waits).toEqual(waits.toSorted((a, b) => a - b));
  expect(attempt).toBe(11);
  expect(elapsedMs(NOON, at) / HOUR).toBeGreaterThan(20);
  expect(elapsedMs(NOON, at) / HOUR).toBeLessThan(24);
});

test('an endpoint is tried again after 1, 5 and 30 minutes, and then given up', () => {
  const tries = [1, 2, 3, 4].map((attempt) => judgeBy(attempt, reply(500), NOON, BRISK));
  expect(tries.map(({ state }) => state)).toEqual(['failed', 'failed', 'failed', 'exhausted']);
  expect(tries.map(({ at }) => elapsedMs(NOON, at) / SECOND)).toEqual([60, 300, 1_800, 0]);
});
