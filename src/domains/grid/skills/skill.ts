import type { Tck } from '../../../kernel/money.ts';
import { nearestTck } from '../money.ts';

/** A skill of the server's own: a small program that runs in a machine. */
export type HouseSkill = {
  id: string;
  name: string;
  description: string;
  category: string;
  price: Tck;
  /** An input that it takes. */
  example: Readonly<Record<string, unknown>>;
  /** What its program stands on: packages, and their files that it needs. */
  packages: Readonly<Record<string, readonly string[]>>;
};

const packageOf = (...files: string[]): readonly string[] => ['package.json', ...files];

export const HOUSE_SKILLS: readonly HouseSkill[] = [
  {
    id: 'csv_parser',
    name: 'CSV Parser',
    description:
      'Reads CSV however it is written: delimiter, quotes and header are found out, columns typed and measured, wrong rows told.',
    category: 'data_processing',
    price: nearestTck(0.3),
    example: { csv: 'name,born\nAda,1815\n', limit: 100 },
    packages: { papaparse: packageOf('papaparse.js') },
  },
  {
    id: 'pdf_reader',
    name: 'PDF Reader',
    description:
      'Reads the text of each page of a PDF document, given in base 64, and what the document says of itself.',
    category: 'data_processing',
    price: nearestTck(0.4),
    example: { pdf: 'JVBERi0xLjQK…', max_pages: 10 },
    packages: { unpdf: packageOf('dist/index.mjs', 'dist/pdfjs.mjs') },
  },
  {
    id: 'google_search',
    name: 'Web Search',
    description:
      'Searches the web with the operator’s search engine; the same page found twice is told once, the best first.',
    category: 'web_research',
    price: nearestTck(0.5),
    example: { query: 'self-hosted cloud', num_results: 5 },
    packages: {},
  },
  {
    id: 'sentiment_analyzer',
    name: 'Sentiment Analyzer',
    description:
      'Tells how an English text feels, as a whole and sentence by sentence, with the words that speak for it.',
    category: 'analysis',
    price: nearestTck(0.6),
    example: { text: 'The room was lovely. The food was not.' },
    packages: {
      'vader-sentiment': packageOf('build/vaderSentiment.bundle.js'),
      eld: packageOf(
        'src/entries/static.small.js',
        'src/ngrams/small.js',
        ...['avgScore', 'dictionary', 'isoLanguages', 'languageData', 'languageDetector', 'LanguageResult'].map(
          (name) => `src/${name}.js`,
        ),
        'src/regexPatterns.js',
        'src/saveLanguageSubset.dev.js',
      ),
    },
  },
  {
    id: 'code_reviewer',
    name: 'Code Reviewer',
    description:
      'Reviews Python, JavaScript and TypeScript by their own grammar: what is dangerous, wrong or tangled, line by line, and figures.',
    category: 'analysis',
    price: nearestTck(0.7),
    example: { language: 'python', code: 'def run(text):\n    return eval(text)\n' },
    packages: { '@babel/parser': packageOf('lib/index.js') },
  },
];

/**
 * How a skill stands. It rests until it is first called, and is `failed` where its machine could not be made or does
 * not answer; the next call tries again.
 */
export type Standing = 'ready' | 'starting' | 'resting' | 'failed' | 'unconfigured';

export const isAvailable = (standing: Standing): boolean => standing !== 'failed' && standing !== 'unconfigured';
