import { XMLParser } from 'fast-xml-parser';
import { AppError } from '../../kernel/errors.ts';
import { MAX_TEST_NAME_LENGTH, MAX_TESTS } from './sample.ts';

export type Outcome = 'passed' | 'failed' | 'skipped';
/** What became of each test, by its name: `classname::name`. */
export type Outcomes = ReadonlyMap<string, Outcome>;

export const MAX_REPORT_BYTES = 5_000_000;
const MAX_DEPTH = 32;

/** An element, with its attributes and children by name. Attributes begin with `@`. */
type Element = { readonly [name: string]: unknown };

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  isArray: (name) => name === 'testsuite' || name === 'testcase',
});

/**
 * Reads JUnit XML as the usual runners write it: `testsuites`, `testsuite` in any depth, `testcase`. A test that comes
 * several times has failed where it failed once. Throws `invalid` for what is no such report, and for one that declares
 * a document type: no runner does, and entities have no business here.
 */
export function readJunit(xml: Buffer): Outcomes {
  if (xml.length > MAX_REPORT_BYTES) throw new AppError('invalid', 'A report is too large');
  const text = xml.toString();
  if (/<!DOCTYPE|<!ENTITY/i.test(text)) throw new AppError('invalid', 'A report declares a document type');
  const root = parse(text);
  if (!isElement(root) || !('testsuites' in root || 'testsuite' in root))
    throw new AppError('invalid', 'A report is no JUnit XML');
  const outcomes = new Map<string, Outcome>();
  for (const { name, outcome } of casesOf(root, '', 0)) {
    if (outcomes.size >= MAX_TESTS) throw new AppError('invalid', 'A report has too many tests');
    outcomes.set(name, worse(outcomes.get(name), outcome));
  }
  return outcomes;
}

function parse(text: string): unknown {
  try {
    return parser.parse(text, true);
  } catch (cause) {
    throw new AppError('invalid', 'A report is no XML', { cause });
  }
}

const isElement = (value: unknown): value is Element => typeof value === 'object' && value !== null;
const elements = (value: unknown): Element[] => [value ?? []].flat().filter(isElement);
const attribute = (element: Element, name: string): string => {
  const value = element[`@${name}`];
  return typeof value === 'string' ? value : '';
};

function* casesOf(element: Element, suite: string, depth: number): Generator<{ name: string; outcome: Outcome }> {
  if (depth > MAX_DEPTH) throw new AppError('invalid', 'A report is nested too deep');
  for (const testcase of elements(element['testcase']))
    yield { name: nameOf(testcase, suite), outcome: outcomeOf(testcase) };
  for (const inner of [...elements(element['testsuites']), ...elements(element['testsuite'])])
    yield* casesOf(inner, attribute(inner, 'name') || suite, depth + 1);
}

function nameOf(testcase: Element, suite: string): string {
  const scope = attribute(testcase, 'classname') || suite;
  const name = attribute(testcase, 'name');
  return (scope === '' ? name : `${scope}::${name}`).slice(0, MAX_TEST_NAME_LENGTH);
}

const SKIPPED = new Set(['notrun', 'skipped', 'disabled', 'suppressed']);

function outcomeOf(testcase: Element): Outcome {
  if ('failure' in testcase || 'error' in testcase || attribute(testcase, 'status') === 'fail') return 'failed';
  const isSkipped =
    'skipped' in testcase ||
    [attribute(testcase, 'status'), attribute(testcase, 'result')].some((word) => SKIPPED.has(word));
  return isSkipped ? 'skipped' : 'passed';
}

const RANK: Record<Outcome, number> = { skipped: 0, passed: 1, failed: 2 };
export const worse = (one: Outcome | undefined, other: Outcome): Outcome =>
  one === undefined || RANK[other] > RANK[one] ? other : one;
