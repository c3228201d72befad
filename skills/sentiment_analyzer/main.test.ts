import { describe, expect, test } from 'vitest';
import { run } from './main.ts';

type Felt = {
  sentiment: string;
  score: number;
  language: { code: string | null; supported: boolean };
  warning?: string;
  sentences: { text: string; label: string; negated: boolean; words: { word: string }[] }[];
};
const feel = (text: string): Felt => run({ text }) as Felt;

test.each([
  ['I love this product, it is wonderful.', 'positive'],
  ['This is the worst service I have ever had.', 'negative'],
  ['The parcel has four sides.', 'neutral'],
  ['This is not good.', 'negative'],
  ['It isn’t bad at all.', 'positive'],
  ['The food was excellent. The waiter was rude and horrible.', 'mixed'],
])('%s is %s', (text, sentiment) => expect(feel(text).sentiment).toBe(sentiment));

test('what strengthens a word strengthens the score', () =>
  expect(feel('It is very good!!!').score).toBeGreaterThan(feel('It is good').score));

test('each sentence is told, with what turns it around and the words that weigh', () => {
  const { sentences } = feel('Mr. Smith was not happy. We had a great time!');
  expect(sentences).toMatchObject([
    { label: 'negative', negated: true, words: [{ word: 'happy' }] },
    { text: 'We had a great time!', label: 'positive', negated: false, words: [{ word: 'great' }] },
  ]);
});

describe('the language is told', () => {
  test('and that the lexicon does not know it', () => {
    const felt = feel('Das Essen war ganz ausgezeichnet, und die Bedienung war sehr freundlich zu uns allen.');
    expect(felt.language).toMatchObject({ code: 'de', supported: false });
    expect(felt.warning).toContain('English');
  });
  test('where it does, nothing is warned of', () => {
    const felt = feel('We were very happy with the food and with the friendly people who served it to us.');
    expect(felt.language).toMatchObject({ code: 'en', supported: true });
    expect(felt).not.toHaveProperty('warning');
  });
});

test('several texts are answered in their order', () =>
  expect(run({ texts: ['great', 'awful'] })).toMatchObject({
    count: 2,
    results: [{ sentiment: 'positive' }, { sentiment: 'negative' }],
  }));

test('a long text without a full stop is told within seconds', () => {
  const startedAt = performance.now();
  feel('good '.repeat(39_000));
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});

test('what is no text is refused in words', () => {
  expect(() => run({})).toThrow('text is required');
  expect(() => run({ text: ' ' })).toThrow('must not be empty');
  expect(() => run({ texts: [] })).toThrow('1 to 100');
  expect(() => run({ texts: [1] })).toThrow('list of strings');
});
