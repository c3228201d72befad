import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { solveChallenge } from '../../cli/solve-challenge.ts';
import { PUZZLES, PUZZLE_KINDS, randomPuzzleKind, type Dice } from './puzzles.ts';

const RUNS = 1_000;

/** Dice whose throws fast-check chooses, so that it finds the edges of every range. */
const dice: fc.Arbitrary<Dice> = fc
  .infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }))
  .map((throws) => (bound) => {
    const { value } = throws.next();
    return Math.floor((value as number) * bound);
  });

const SHAPE: Record<string, { icon: string; title: string; prompt: RegExp; description: RegExp }> = {
  math: { icon: '×', title: 'Speed Arithmetic', prompt: /^[1-9]\d,\d{3} × [1-9]\d,\d{3}$/, description: /./ },
  string: {
    icon: '↔',
    title: 'String Reversal',
    prompt: /^[ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789]{60,80}$/,
    description: /./,
  },
  count: { icon: '#', title: 'Character Census', prompt: /^[a-z]{200,300}$/, description: /^[^"]*"[a-z]"[^"]*$/ },
  sort: {
    icon: '⇅',
    title: 'Instant Sort',
    prompt: /^[1-9]\d{0,3}(, [1-9]\d{0,3}){14}$/,
    description: /^\D*\b(3rd|[4-9]th|1[0-3]th)\b\D*$/,
  },
  binary: {
    icon: '01',
    title: 'Binary Decode',
    prompt: /^[01]{8}( [01]{8}){4}$/,
    description: /^Convert the binary octets to ASCII text\.$/,
  },
};

describe.each(PUZZLE_KINDS)('a %s challenge', (kind) => {
  const puzzle = PUZZLES[kind];

  test('is solved by who only reads its description and prompt, a thousand times out of a thousand', () => {
    const solvable = fc.property(dice, (throws) => {
      const { description, prompt, answer } = puzzle.make(throws);
      expect(puzzle.normalise(solveChallenge({ type: kind, description, prompt }))).toBe(puzzle.normalise(answer));
    });
    fc.assert(solvable, { numRuns: RUNS });
    for (let n = 0; n < RUNS; n++) {
      const { description, prompt, answer } = puzzle.make((bound) => randomInt(bound));
      expect(solveChallenge({ type: kind, description, prompt })).toBe(answer);
    }
  });

  test('has the icon, title, alphabet and ranges of the sheet', () => {
    expect(puzzle).toMatchObject({ icon: SHAPE[kind]?.icon, title: SHAPE[kind]?.title });
    const shaped = fc.property(dice, (throws) => {
      const { description, prompt } = puzzle.make(throws);
      expect(prompt).toMatch(SHAPE[kind]?.prompt ?? /$^/);
      expect(description).toMatch(SHAPE[kind]?.description ?? /$^/);
    });
    fc.assert(shaped, { numRuns: RUNS });
  });
});

describe('an answer', () => {
  test.each(['math', 'count', 'sort'] as const)(
    'to a %s challenge may have spaces and thousands separators',
    (kind) => {
      expect(PUZZLES[kind].normalise(' 1,234 567\n')).toBe('1234567');
    },
  );

  test('to a string challenge counts to the letter, but for white space around it', () => {
    expect(PUZZLES.string.normalise(' aB 2,c \n')).toBe('aB 2,c');
  });

  test('to a binary challenge may be in any case', () => {
    expect(PUZZLES.binary.normalise(' robot ')).toBe('ROBOT');
  });
});

test('every kind of challenge comes up', () => {
  const seen = new Set(Array.from({ length: 500 }, () => randomPuzzleKind((bound) => randomInt(bound))));
  expect(seen).toEqual(new Set(PUZZLE_KINDS));
});
