/** A question that a skill is asked, and by what its answer is judged. */
export type BenchmarkCase = { input: Record<string, unknown> } & (
  | { check: 'field_match'; field: string; expected: string }
  | { check: 'schema_valid' }
  | { check: 'consistent_keys' }
);

export type Suite = {
  id: string;
  name: string;
  description: string;
  /** What the labels of the skills have in them that it is made for; null where it is for all. */
  skillPattern: string | null;
  cases: readonly BenchmarkCase[];
};

const sentiment = (text: string, expected: string): BenchmarkCase => ({
  input: { text },
  check: 'field_match',
  field: 'sentiment',
  expected,
});

export const SUITES: readonly Suite[] = [
  {
    id: 'sentiment_basic',
    name: 'Sentiment Analysis — Basic',
    description: 'Five short texts whose sentiment is known: the field `sentiment` has to name it.',
    skillPattern: 'sentiment',
    cases: [
      sentiment('It works perfectly and the support is wonderful.', 'positive'),
      sentiment('It broke after two days and nobody answers. Awful.', 'negative'),
      sentiment('The parcel weighs two kilograms.', 'neutral'),
      sentiment('I love the screen, but the battery is terrible.', 'mixed'),
      sentiment('What a great, happy surprise!', 'positive'),
    ],
  },
  {
    id: 'schema_compliance',
    name: 'Schema Compliance',
    description: 'The answer has to match the output_schema that the skill itself declares.',
    skillPattern: null,
    cases: [{ input: { text: 'A text like any other.' }, check: 'schema_valid' }],
  },
  {
    id: 'deterministic_echo',
    name: 'Deterministic Output',
    description: 'The same question twice: both answers have to have the same fields of the same types.',
    skillPattern: null,
    cases: [{ input: { text: 'The same text twice.' }, check: 'consistent_keys' }],
  },
];

export const findSuite = (id: string): Suite | undefined => SUITES.find((suite) => suite.id === id);

/** How often a case is asked. */
export const timesAsked = ({ check }: Pick<BenchmarkCase, 'check'>): number => (check === 'consistent_keys' ? 2 : 1);
