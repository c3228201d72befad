import { assert } from '../../kernel/errors.ts';

/**
 * The five kinds of challenge: easy for a program that reads, tedious for a person and for a script that does not.
 * Titles, icons, alphabets and ranges are those of the HATCHA protocol; the descriptions are ours.
 */
export type PuzzleKind = 'math' | 'string' | 'count' | 'sort' | 'binary';

export type Puzzle = { description: string; prompt: string; answer: string };

/** A random integer from 0 up to, and not including, `bound`. */
export type Dice = (bound: number) => number;

type PuzzleMaker = {
  icon: string;
  title: string;
  make(dice: Dice): Puzzle;
  /** Takes away what does not matter in an answer. */
  normalise(answer: string): string;
};

const FIVE_DIGITS = { min: 10_000, max: 99_999 };
const REVERSAL_LENGTH = { min: 60, max: 80 };
/** No glyph that looks like another one. */
const REVERSAL_ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789';
const CENSUS_LENGTH = { min: 200, max: 300 };
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const SORT_COUNT = 15;
const SORT_VALUE = { min: 1, max: 9_999 };
const SORT_POSITION = { min: 3, max: 13 };
const WORDS = ['AGENT', 'ROBOT', 'NEXUS', 'CYBER', 'LOGIC', 'PROXY', 'STACK', 'ASYNC', 'CLOUD', 'DELTA'];

const withoutSpacesAndCommas = (answer: string): string => answer.replaceAll(/[\s,]/g, '');

export const PUZZLES = {
  math: { icon: '×', title: 'Speed Arithmetic', make: multiplication, normalise: withoutSpacesAndCommas },
  string: { icon: '↔', title: 'String Reversal', make: reversal, normalise: (answer) => answer.trim() },
  count: { icon: '#', title: 'Character Census', make: census, normalise: withoutSpacesAndCommas },
  sort: { icon: '⇅', title: 'Instant Sort', make: sorting, normalise: withoutSpacesAndCommas },
  binary: { icon: '01', title: 'Binary Decode', make: decoding, normalise: (answer) => answer.trim().toUpperCase() },
} satisfies Record<PuzzleKind, PuzzleMaker>;

export const PUZZLE_KINDS = Object.keys(PUZZLES) as PuzzleKind[];

function multiplication(dice: Dice): Puzzle {
  const left = within(dice, FIVE_DIGITS);
  const right = within(dice, FIVE_DIGITS);
  return {
    description: 'Multiply the two numbers.',
    prompt: `${left.toLocaleString('en-US')} × ${right.toLocaleString('en-US')}`,
    answer: String(left * right),
  };
}

function reversal(dice: Dice): Puzzle {
  const prompt = letters(dice, REVERSAL_ALPHABET, within(dice, REVERSAL_LENGTH));
  return {
    description: 'Reverse the string. Upper and lower case matter.',
    prompt,
    answer: prompt.split('').toReversed().join(''),
  };
}

function census(dice: Dice): Puzzle {
  const prompt = letters(dice, LETTERS, within(dice, CENSUS_LENGTH));
  const letter = prompt.charAt(dice(prompt.length));
  return {
    description: `Count how many times the letter "${letter}" occurs in the text.`,
    prompt,
    answer: String(prompt.split(letter).length - 1),
  };
}

function sorting(dice: Dice): Puzzle {
  const numbers = Array.from({ length: SORT_COUNT }, () => within(dice, SORT_VALUE));
  const position = within(dice, SORT_POSITION);
  const sorted = numbers.toSorted((left, right) => left - right);
  return {
    description: `Sort the numbers in ascending order and give the ${ordinal(position)} one.`,
    prompt: numbers.join(', '),
    answer: String(sorted[position - 1]),
  };
}

function decoding(dice: Dice): Puzzle {
  const answer = pick(dice, WORDS);
  return {
    description: 'Convert the binary octets to ASCII text.',
    prompt: answer
      .split('')
      .map((letter) => letter.charCodeAt(0).toString(2).padStart(8, '0'))
      .join(' '),
    answer,
  };
}

const within = (dice: Dice, range: { min: number; max: number }): number => range.min + dice(range.max - range.min + 1);

const letters = (dice: Dice, alphabet: string, length: number): string =>
  Array.from({ length }, () => alphabet.charAt(dice(alphabet.length))).join('');

function pick<Item>(dice: Dice, items: readonly Item[]): Item {
  const item = items[dice(items.length)];
  assert(item !== undefined, 'there is something to pick from');
  return item;
}

export const randomPuzzleKind = (dice: Dice): PuzzleKind => pick(dice, PUZZLE_KINDS);

/** `3rd`, `5th`: positions run from 3 to 13. */
const ordinal = (position: number): string => `${position}${position === 3 ? 'rd' : 'th'}`;
