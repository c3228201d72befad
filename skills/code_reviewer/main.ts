/** Reviews source code: what is dangerous, wrong or hard to read in it, and how large and how tangled it is. */
import { choice, fieldsOf, optionalText, Refusal, requiredText } from '../input.ts';
import type { Finding, Review, Severity } from './finding.ts';
import { reviewJavaScript } from './javascript.ts';
import { linesOf } from './lines.ts';
import { reviewPython } from './python.ts';
import { secretsIn } from './secrets.ts';

const FIELDS = ['code', 'content', 'language', 'filename', 'context'];
const LANGUAGES = ['python', 'javascript', 'typescript', 'jsx', 'tsx', 'auto'] as const;
const MAX_LENGTH = 500_000;
const MAX_NAME_LENGTH = 500;
const MAX_CONTEXT_LENGTH = 10_000;
/** Findings that are told, the worst first; all are counted. */
const MAX_TOLD = 500;
const WORST_FIRST: readonly Severity[] = ['high', 'medium', 'low', 'info'];
/** What each finding takes from a hundred. */
const COST: Readonly<Record<Severity, number>> = { high: 15, medium: 6, low: 2, info: 0 };

type Language = Exclude<(typeof LANGUAGES)[number], 'auto'>;

const OF_SUFFIX: Readonly<Record<string, Language>> = {
  py: 'python',
  pyi: 'python',
  js: 'javascript',
  mjs: 'javascript',
  cjs: 'javascript',
  ts: 'typescript',
  mts: 'typescript',
  cts: 'typescript',
  jsx: 'jsx',
  tsx: 'tsx',
};

export function run(input: unknown): unknown {
  const fields = fieldsOf(input, FIELDS);
  const code = requiredText(fields, ['code', 'content'], MAX_LENGTH);
  const named = choice(fields, 'language', LANGUAGES);
  const filename = optionalText(fields, 'filename', MAX_NAME_LENGTH);
  optionalText(fields, 'context', MAX_CONTEXT_LENGTH);
  const language = named === undefined || named === 'auto' ? guessed(code, filename) : named;
  const review = language === 'python' ? reviewPython(code) : reviewJavaScript(code, language);
  return presented(language, code, review);
}

function guessed(code: string, filename: string | undefined): Language {
  const suffix = /\.([a-z]+)$/.exec(filename?.toLowerCase() ?? '')?.[1];
  const known = suffix === undefined ? undefined : OF_SUFFIX[suffix];
  if (known) return known;
  if (suffix !== undefined) throw new Refusal(`Files that end with .${suffix} are not reviewed: name the language`);
  const pythonic =
    /^\s*(def \w+\(.*\).*:|class \w+.*:|from [\w.]+ import |import [\w.]+(\s+as \w+)?\s*$|elif |except.*:)/m;
  if (pythonic.test(code)) return 'python';
  return /^\s*(interface \w+|type \w+ =|enum \w+)|\b(const|let|\w+)\??: (string|number|boolean|unknown|void)\b/m.test(
    code,
  )
    ? 'typescript'
    : 'javascript';
}

function presented(language: Language, code: string, { syntaxError, findings, functions, ...review }: Review) {
  const all = [...findings, ...secretsIn(code)].filter(uniquely()).sort(byWeight);
  const count = (severity: Severity): number => all.filter((finding) => finding.severity === severity).length;
  const summary = Object.fromEntries(WORST_FIRST.map((severity) => [severity, count(severity)]));
  const cost = all.reduce((sum, { severity }) => sum + COST[severity], 0);
  const complexities = functions.map(({ complexity }) => complexity);
  return {
    language,
    syntax_ok: syntaxError === undefined,
    ...(syntaxError && { syntax_error: syntaxError }),
    score: syntaxError ? null : Math.max(0, 100 - cost),
    summary: { total: all.length, ...summary },
    findings: all.slice(0, MAX_TOLD),
    truncated: all.length > MAX_TOLD,
    metrics: {
      ...linesOf(code, language === 'python' ? '#' : '//'),
      functions: functions.length,
      classes: review.classes,
      imports: review.imports,
      max_complexity: Math.max(0, ...complexities),
      average_complexity:
        complexities.length === 0 ? 0 : round(complexities.reduce((a, b) => a + b, 0) / functions.length),
      longest_function: Math.max(0, ...functions.map(({ lines }) => lines)),
      deepest_nesting: Math.max(0, ...functions.map(({ nesting }) => nesting)),
    },
    functions: [...functions].sort((a, b) => b.complexity - a.complexity).slice(0, MAX_TOLD),
  };
}

/** Lets each finding through once. */
function uniquely(): (finding: Finding) => boolean {
  const seen = new Set<string>();
  return ({ rule, line, column }) => {
    const key = `${rule}:${line}:${column}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  };
}

const byWeight = (a: Finding, b: Finding): number =>
  WORST_FIRST.indexOf(a.severity) - WORST_FIRST.indexOf(b.severity) || a.line - b.line || a.column - b.column;

const round = (value: number): number => Math.round(value * 100) / 100;
