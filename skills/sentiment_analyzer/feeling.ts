import vader from 'vader-sentiment';

export type Label = 'positive' | 'negative' | 'neutral';
/** From -1 to 1, and the shares of a text that speak for each, which are 1 together. */
export type Scores = { score: number; positive: number; negative: number; neutral: number };

/** The bounds that VADER's authors use. */
const CLEAR = 0.05;
const MAX_WORDS = 20;
const NEGATION =
  /\b(not|never|no|none|nothing|nowhere|neither|nor|cannot|without|rarely|seldom|hardly|barely|scarcely)\b|n['’]t\b/i;

export const labelOf = (score: number): Label =>
  score >= CLEAR ? 'positive' : score <= -CLEAR ? 'negative' : 'neutral';

export function scoresOf(text: string): Scores {
  const { compound, pos, neg, neu } = vader.SentimentIntensityAnalyzer.polarity_scores(plainQuotes(text));
  return { score: compound, positive: pos, negative: neg, neutral: neu };
}

/** The words of a sentence that have a weight of their own, and whether something in it turns them around. */
export function weightedWords(text: string): { negated: boolean; words: { word: string; weight: number }[] } {
  const words = [...new Set(plainQuotes(text).match(/[\p{L}'-]{2,}/gu) ?? [])].flatMap((word) => {
    const weight = scoresOf(word).score;
    return weight === 0 ? [] : [{ word: word.toLowerCase(), weight }];
  });
  return { negated: NEGATION.test(text), words: words.slice(0, MAX_WORDS) };
}

const plainQuotes = (text: string): string => text.replaceAll('’', "'");
