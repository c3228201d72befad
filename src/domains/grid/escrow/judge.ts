import { firstFailedCheck } from './checks.ts';
import { searchPattern } from './pattern.ts';
import {
  isMissing,
  PROOF_MISSING,
  type Broken,
  type Case,
  type Check,
  type OwnCheck,
  type OwnFinding,
  type Verdict,
} from './promises.ts';
import { schemaFinding } from './schema.ts';

const MAX_PREVIEW = 200;

/**
 * Judges an output by what its skill promised, then by what its buyer demands. Deterministic and without any effect,
 * but schemas and patterns are written by customers and may take for ever.
 */
export function judge({ output, promises, own }: Case): Verdict {
  if (isMissing(output)) return { broken: PROOF_MISSING, own: [] };
  const broken = brokenSchema(output, promises.schema) ?? failedCheck(output, promises.checks);
  if (broken) return { broken, own: [] };
  const findings: OwnFinding[] = [];
  for (const check of own) {
    const finding = examine(output, check);
    findings.push(finding);
    // One that fails decides it; those behind it were not asked.
    if (finding.result === 'FAIL') break;
  }
  return { own: findings };
}

function brokenSchema(output: unknown, schema: unknown): Broken | undefined {
  if (schema === undefined) return undefined;
  const value = typeof output === 'string' ? parsed(output) : { json: output };
  if (!value)
    return {
      rule: 'SCHEMA_MISMATCH',
      details: { error: 'output_not_valid_json', output_preview: String(output).slice(0, MAX_PREVIEW) },
    };
  const finding = schemaFinding(schema, value.json);
  // A schema that is none says nothing of an output, like a validator of a type that nobody knows.
  return finding === undefined || finding === 'invalid' ? undefined : { rule: 'SCHEMA_MISMATCH', details: finding };
}

function parsed(text: string): { json: unknown } | undefined {
  try {
    return { json: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

function failedCheck(output: unknown, checks: readonly Check[]): Broken | undefined {
  const failed = firstFailedCheck(output, checks);
  return failed && { rule: 'VALIDATOR_FAILED', details: failed };
}

function examine(output: unknown, check: OwnCheck): OwnFinding {
  const { id } = check;
  if (check.type === 'schema') {
    const finding = schemaFinding(check.schema, output);
    if (finding === 'invalid') return { id, result: 'ERROR', details: { error: 'The schema is not valid' } };
    if (!finding) return { id, result: 'PASS', details: null };
    return { id, result: 'FAIL', details: { error: finding.schema_error, path: finding.path } };
  }
  const { pattern, field } = check;
  const found = searchPattern(pattern, textOf(output, field));
  if (found === 'invalid') return { id, result: 'ERROR', details: { error: 'The pattern is not valid' } };
  if (found === 'found') return { id, result: 'PASS', details: null };
  return { id, result: 'FAIL', details: { pattern, field: field ?? null, matched: false } };
}

function textOf(output: unknown, field: string | undefined): string {
  const value: unknown =
    field === undefined ? output : (Object.entries(output ?? {}).find(([name]) => name === field)?.[1] ?? '');
  return typeof value === 'string' ? value : JSON.stringify(value);
}
