/** Tells how a text feels: as a whole and sentence by sentence, with the words that speak for it. */
import { eld } from 'eld/small';
import { fieldsOf, Refusal, requiredText } from '../input.ts';
import { labelOf, scoresOf, weightedWords, type Label, type Scores } from './feeling.ts';
import { sentencesIn } from './sentences.ts';

const FIELDS = ['text', 'content', 'texts'];
const MAX_LENGTH = 200_000;
const MAX_TEXTS = 100;
/** Sentences that are told one by one; all count. */
const MAX_TOLD = 500;
/** So strong in both directions, a text is of two minds. */
const STRONG = 0.3;

type Sentence = Scores & { text: string; label: Label; negated: boolean; words: { word: string; weight: number }[] };

export function run(input: unknown): unknown {
  const fields = fieldsOf(input, FIELDS);
  const { texts } = fields;
  if (texts === undefined || texts === null) return analysisOf(requiredText(fields, ['text', 'content'], MAX_LENGTH));
  if (!Array.isArray(texts) || texts.length === 0 || texts.length > MAX_TEXTS)
    throw new Refusal(`texts must be a list of 1 to ${MAX_TEXTS} strings`);
  if (texts.some((text) => typeof text !== 'string')) throw new Refusal('texts must be a list of strings');
  const all = texts as string[];
  if (all.reduce((sum, { length }) => sum + length, 0) > MAX_LENGTH)
    throw new Refusal(`texts may have ${MAX_LENGTH} characters together`);
  const results = all.map((text) => ({ ...analysisOf(text), text: text.slice(0, 200) }));
  return { count: results.length, results };
}

function analysisOf(text: string) {
  if (text.trim() === '') throw new Refusal('text must not be empty');
  const sentences = sentencesIn(text).map(sentenceOf);
  const whole = wholeOf(sentences);
  const language = languageOf(text);
  return {
    sentiment: isMixed(sentences) ? ('mixed' as const) : labelOf(whole.score),
    ...whole,
    confidence: round(Math.abs(whole.score)),
    language,
    ...(!language.supported && { warning: 'The lexicon is English: for other languages the scores say little' }),
    sentence_count: sentences.length,
    sentences: sentences.slice(0, MAX_TOLD),
  };
}

const sentenceOf = (text: string): Sentence => {
  const scores = scoresOf(text);
  return { text, label: labelOf(scores.score), ...scores, ...weightedWords(text) };
};

/** Each sentence counts by its length; those that say nothing of feelings are not held against the others. */
function wholeOf(sentences: readonly Sentence[]): Scores {
  const telling = sentences.filter(({ score }) => score !== 0);
  return {
    score: mean(telling, ({ score }) => score),
    positive: mean(sentences, ({ positive }) => positive),
    negative: mean(sentences, ({ negative }) => negative),
    neutral: sentences.length === 0 ? 1 : mean(sentences, ({ neutral }) => neutral),
  };
}

function mean(sentences: readonly Sentence[], of: (sentence: Sentence) => number): number {
  const total = sentences.reduce((sum, { text }) => sum + text.length, 0);
  if (total === 0) return 0;
  return round(sentences.reduce((sum, sentence) => sum + of(sentence) * sentence.text.length, 0) / total);
}

const isMixed = (sentences: readonly Sentence[]): boolean =>
  sentences.some(({ score }) => score >= STRONG) && sentences.some(({ score }) => score <= -STRONG);

function languageOf(text: string): { code: string | null; reliable: boolean; supported: boolean } {
  const found = eld.detect(text);
  const reliable = found.isReliable();
  const code = found.language === '' ? null : found.language;
  // A few words may be any language's: they are taken for English unless they surely are not.
  return { code, reliable, supported: code === 'en' || !reliable };
}

const round = (value: number): number => Math.round(value * 10_000) / 10_000;
