import type { Tck } from '../../../kernel/money.ts';

/** What can be asked of the grid by a name, without choosing a skill. */
export type Capability = { name: string; typicalPrice: Tck; etaSeconds: number };

/** Name, typical price in tenths of a TCK, seconds that it usually takes. */
const TABLE = [
  ['url-fetcher', 3, 10],
  ['web-scraper', 5, 15],
  ['google-search', 5, 15],
  ['csv-parser', 3, 10],
  ['pdf-parser', 4, 15],
  ['pdf-summarizer', 4, 15],
  ['schema-enforcer', 3, 10],
  ['text-translator', 5, 15],
  ['prompt-optimizer', 5, 15],
  ['report-builder', 7, 20],
  ['report-compiler', 5, 20],
  ['document-reporter', 7, 20],
  ['text-to-voice', 7, 20],
  ['schema-generator', 5, 15],
  ['quality-gate', 5, 15],
  ['hallucination-detector', 7, 20],
  ['code-reviewer', 10, 20],
  ['compliance-checker', 10, 20],
  ['logic-visualizer', 5, 15],
  ['sentiment-analyzer', 3, 10],
  ['language-detector', 1, 10],
  ['key-point-extractor', 3, 10],
  ['diff-analyzer', 3, 10],
  ['web-research', 10, 30],
  ['performance-analyzer', 10, 20],
  ['lead-enricher', 5, 15],
  ['image-describer', 5, 15],
  ['vector-memory', 3, 10],
  ['notification-router', 3, 10],
  ['scheduler', 5, 15],
] as const satisfies readonly (readonly [string, number, number])[];

const TENTH_OF_A_TCK = 1_000n;

export const CAPABILITIES: readonly Capability[] = TABLE.map(([name, tenths, etaSeconds]) => ({
  name,
  typicalPrice: (BigInt(tenths) * TENTH_OF_A_TCK) as Tck,
  etaSeconds,
}));

const BY_NAME: ReadonlyMap<string, Capability> = new Map(CAPABILITIES.map((one) => [one.name, one]));

export const findCapability = (name: string): Capability | undefined => BY_NAME.get(name);

/** How sellers write a capability into the labels of their skills: any of these, in any case. */
export const labelsOf = ({ name }: Pick<Capability, 'name'>): string[] => [
  name.replaceAll('-', '_'),
  name,
  name.replaceAll('-', ' '),
];
