import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../../kernel/ids.ts';
import { BOUNTY_STATES, deadlineOf, mayRead, takesSubmissions } from './bounty.ts';

const named = (name: string) => name as NodeId;
const NOW = new Date('2026-03-18T12:00:00Z');

describe('a bounty', () => {
  test('takes submissions while it is open and its deadline has not come', () => {
    expect(takesSubmissions({ state: 'open', deadlineAt: undefined }, NOW)).toBe(true);
    expect(takesSubmissions({ state: 'open', deadlineAt: new Date(NOW.getTime() + 1) }, NOW)).toBe(true);
    expect(takesSubmissions({ state: 'open', deadlineAt: NOW }, NOW)).toBe(false);
    for (const state of BOUNTY_STATES.filter((one) => one !== 'open'))
      expect(takesSubmissions({ state, deadlineAt: undefined }, NOW)).toBe(false);
  });

  test('without days has no deadline', () => {
    expect(deadlineOf(NOW, undefined)).toBeUndefined();
    expect(deadlineOf(NOW, 2)).toEqual(new Date('2026-03-20T12:00:00Z'));
  });
});

describe('what is handed in for a sealed bounty', () => {
  const sealed = { sealed: true, state: 'open', creatorId: named('creator') } as const;
  const submission = { solverId: named('solver') };

  test('is read by its creator and its solver alone', () => {
    const readers = [named('creator'), named('solver'), named('other'), undefined];
    expect(readers.map((reader) => mayRead(sealed, submission, reader))).toEqual([true, true, false, false]);
  });

  test('is public once one is awarded, and never when none was', () => {
    expect(mayRead({ ...sealed, state: 'awarded' }, submission, undefined)).toBe(true);
    expect(mayRead({ ...sealed, state: 'cancelled' }, submission, undefined)).toBe(false);
    expect(mayRead({ ...sealed, state: 'expired' }, submission, undefined)).toBe(false);
  });

  test('of any other bounty is public at once', () =>
    expect(mayRead({ ...sealed, sealed: false }, submission, undefined)).toBe(true));
});
