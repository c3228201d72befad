/** A longer one is cut: what has no full stops is no text of sentences. */
const MAX_SENTENCE_LENGTH = 2_000;

/** What ends with a full stop, and no sentence. */
const ABBREVIATION = /(^|\s)(mr|mrs|ms|dr|prof|st|jr|sr|vs|no|inc|ltd|co|e\.g|i\.e|approx|dept|est|fig)\.\s*$/i;

/** The sentences of a text, in their order. */
export function sentencesIn(text: string): string[] {
  const segments = new Intl.Segmenter('en', { granularity: 'sentence' }).segment(text);
  return joined([...segments].map(({ segment }) => segment))
    .flatMap((segment) => segment.split(/\n{2,}/))
    .flatMap(pieces)
    .map((sentence) => sentence.replaceAll(/\s+/g, ' ').trim())
    .filter((sentence) => sentence !== '');
}

function joined(segments: readonly string[]): string[] {
  const sentences: string[] = [];
  let begun = '';
  for (const segment of segments) {
    begun += segment;
    // `No.` before a number goes on; alone it is an answer.
    if (ABBREVIATION.test(segment) && !/^\s*no\.\s*$/i.test(segment)) continue;
    sentences.push(begun);
    begun = '';
  }
  return begun === '' ? sentences : [...sentences, begun];
}

function pieces(sentence: string): string[] {
  if (sentence.length <= MAX_SENTENCE_LENGTH) return [sentence];
  const found: string[] = [];
  for (let begin = 0; begin < sentence.length; begin += MAX_SENTENCE_LENGTH)
    found.push(sentence.slice(begin, begin + MAX_SENTENCE_LENGTH));
  return found;
}
