import { expect, test } from 'vitest';
import { unlessKnown } from '../../src/apis/conditional.ts';

const ANSWER = {
  status: 200,
  body: 'x',
  headers: { etag: '"a"', 'last-modified': 'Wed, 18 Mar 2026 12:00:00 GMT', 'content-type': 'text/plain' },
};
const statusOf = (asked: Record<string, string>, method = 'GET', answer = ANSWER): number =>
  unlessKnown(method, asked, answer).status;

test.each([
  [{ 'if-none-match': '"a"' }, 304],
  [{ 'if-none-match': 'W/"a"' }, 304],
  [{ 'if-none-match': '"b", "a"' }, 304],
  [{ 'if-none-match': '*' }, 304],
  [{ 'if-none-match': '"b"' }, 200],
  [{ 'if-none-match': 'nonsense' }, 200],
  [{ 'if-modified-since': 'Wed, 18 Mar 2026 12:00:00 GMT' }, 304],
  [{ 'if-modified-since': 'Wed, 18 Mar 2026 11:59:59 GMT' }, 200],
  [{ 'if-modified-since': 'nonsense' }, 200],
  [{ 'if-none-match': '"b"', 'if-modified-since': 'Wed, 18 Mar 2026 12:00:00 GMT' }, 200],
  [{}, 200],
])('whoever asks with %j is answered %i', (asked, status) => expect(statusOf(asked)).toBe(status));

test('only what was asked for and is there is not sent', () => {
  const known = { 'if-none-match': '"a"' };
  expect(statusOf(known, 'HEAD')).toBe(304);
  expect(statusOf(known, 'POST')).toBe(200);
  expect(statusOf(known, 'GET', { ...ANSWER, status: 404 })).toBe(404);
  expect(unlessKnown('GET', known, { status: 200, body: 'x' }).status).toBe(200);
});

test('a reply without a body says nothing of one', () => {
  expect(unlessKnown('GET', { 'if-none-match': '"a"' }, ANSWER)).toEqual({
    status: 304,
    body: undefined,
    headers: { etag: '"a"', 'last-modified': 'Wed, 18 Mar 2026 12:00:00 GMT' },
  });
});
