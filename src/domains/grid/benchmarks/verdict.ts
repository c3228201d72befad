import type { Court } from '../escrow/court.ts';
import type { BenchmarkCase } from './suite.ts';

/** What a case came to, and why where it did not pass. `missing`: it was not answered. */
export type CaseVerdict = { result: 'passed' | 'failed' | 'missing'; reason: string | undefined };

/** Answers to one case; undefined for those that there are not. */
export type Answers = readonly (Record<string, unknown> | undefined)[];

const PASSED: CaseVerdict = { result: 'passed', reason: undefined };
const failed = (reason: string): CaseVerdict => ({ result: 'failed', reason });
const MAX_SHOWN = 100;

/** Judges the answers to one case. `schema` is what the skill declares of its outputs. */
export async function judgeCase(
  court: Pick<Court, 'hear'>,
  asked: BenchmarkCase,
  answers: Answers,
  schema: unknown,
): Promise<CaseVerdict> {
  const given = answers.filter((answer) => answer !== undefined);
  const [first] = given;
  if (!first || given.length < answers.length) return { result: 'missing', reason: 'Not answered' };
  switch (asked.check) {
    case 'field_match':
      return judgeField(first, asked);
    case 'consistent_keys':
      return given.every((answer) => shapeOf(answer) === shapeOf(first))
        ? PASSED
        : failed('The answers differ in their fields or the types of these');
    case 'schema_valid':
      return judgeSchema(court, first, schema);
  }
}

function judgeField(answer: Record<string, unknown>, { field, expected }: { field: string; expected: string }) {
  const value = Object.hasOwn(answer, field) ? answer[field] : undefined;
  if (typeof value !== 'string') return failed(`${field} is no text`);
  return value.trim().toLowerCase() === expected
    ? PASSED
    : failed(`${field} is '${value.slice(0, MAX_SHOWN)}' and not '${expected}'`);
}

/** In the court: the schema is the seller's, and may be made to take for ever. */
async function judgeSchema(
  court: Pick<Court, 'hear'>,
  output: Record<string, unknown>,
  schema: unknown,
): Promise<CaseVerdict> {
  const [heard] = await court.hear([{ output, promises: { schema, checks: [] }, own: [] }]);
  if (!heard || 'overran' in heard) return failed('The schema could not be tried in time');
  const { broken } = heard.verdict;
  return broken ? failed(`${broken.rule}: ${JSON.stringify(broken.details)}`.slice(0, MAX_SHOWN * 2)) : PASSED;
}

/** The fields of a value at every depth, and their types, in one text. Of lists it is what their items are. */
function shapeOf(value: unknown): string {
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  if (Array.isArray(value)) return `[${[...new Set(value.map(shapeOf))].toSorted().join('|')}]`;
  const fields = Object.entries(value).map(([name, field]) => `${JSON.stringify(name)}:${shapeOf(field)}`);
  return `{${fields.toSorted().join(',')}}`;
}
