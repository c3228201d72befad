/** A validator as a skill's metadata has it. What it says beyond its type is its seller's, and may be anything. */
export type Check = Record<string, unknown>;

/** The rules by which a delivery is judged before its seller is paid, in the order in which they are tried. */
export type Rule = 'PROOF_MISSING' | 'SCHEMA_MISMATCH' | 'VALIDATOR_FAILED';

/** What a skill promises of its outputs, as its metadata has it. */
export type Promises = { schema?: unknown; checks: Check[] };

/** A buyer's own validator that looks at the output alone. */
export type OwnCheck = { id: string } & (
  | { type: 'schema'; schema: unknown }
  | { type: 'regex'; pattern: string; field?: string }
);
export type OwnFinding = { id: string; result: 'PASS' | 'FAIL' | 'ERROR'; details: Record<string, unknown> | null };

export type Case = { output: unknown; promises: Promises; own: OwnCheck[] };
export type Broken = { rule: Rule; details: Record<string, unknown> };
export type Verdict = { broken?: Broken; own: OwnFinding[] };

/** Validators of one skill that are looked at. */
const MAX_CHECKS = 50;

/** What the metadata of a skill promises. What has another shape promises nothing. */
export function promisesOf(metadata: Record<string, unknown>): Promises {
  const { output_schema: schema, validators } = metadata;
  const checks = (Array.isArray(validators) ? validators : []).filter(
    (check): check is Check => typeof check === 'object' && check !== null,
  );
  return { ...(schema ? { schema } : undefined), checks: checks.slice(0, MAX_CHECKS) };
}

export const promisesAnything = ({ schema, checks }: Promises): boolean => schema !== undefined || checks.length > 0;

/** The first rule: something has been delivered. */
export const isMissing = (output: unknown): boolean =>
  output === null ||
  output === undefined ||
  output === '' ||
  (typeof output === 'object' && !Array.isArray(output) && Object.keys(output).length === 0);

export const PROOF_MISSING: Broken = {
  rule: 'PROOF_MISSING',
  details: { task_status: 'COMPLETED', output_data: null },
};
