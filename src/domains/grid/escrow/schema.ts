import { Ajv, type ValidateFunction } from 'ajv';

/** Compiled schemas that are kept: a busy skill is judged with one schema all day. */
const MAX_COMPILED = 64;
const MAX_SHOWN = 200;

export type SchemaFinding = { schema_error: string; path: string[]; expected: string; got: string };

const compiled = new Map<string, ValidateFunction | 'invalid'>();

/**
 * What is wrong with a value by a JSON Schema of Draft-07; undefined where nothing is, `invalid` where the schema is
 * none. Nothing is fetched: a schema that refers to another host's is none.
 */
export function schemaFinding(schema: unknown, value: unknown): SchemaFinding | 'invalid' | undefined {
  const validate = compile(schema);
  if (validate === 'invalid') return 'invalid';
  if (validate(value)) return undefined;
  const [error] = validate.errors ?? [];
  return {
    schema_error: error?.message ?? 'does not match the schema',
    path: (error?.instancePath ?? '').split('/').slice(1).map(unescaped),
    expected: shown(error?.params),
    got: shown(error?.data),
  };
}

function compile(schema: unknown): ValidateFunction | 'invalid' {
  const key = JSON.stringify(schema);
  const known = compiled.get(key);
  if (known) return known;
  const made = compileAnew(key);
  const [oldest] = compiled.keys();
  if (compiled.size >= MAX_COMPILED && oldest !== undefined) compiled.delete(oldest);
  compiled.set(key, made);
  return made;
}

/** In a compiler of its own, so that the `$id` of one customer's schema is not another's. */
function compileAnew(text: string): ValidateFunction | 'invalid' {
  const schema: unknown = JSON.parse(text);
  if (typeof schema !== 'boolean' && (typeof schema !== 'object' || schema === null || Array.isArray(schema)))
    return 'invalid';
  // Every schema is read as Draft-07, whichever draft it names; an asynchronous one would answer a promise, always true.
  if (typeof schema === 'object') {
    if ('$async' in schema) return 'invalid';
    if ('$schema' in schema) delete schema.$schema;
  }
  try {
    return new Ajv({ strict: false, validateFormats: false, logger: false, verbose: true }).compile(schema);
  } catch {
    // It names every way in which a schema can be none; which one it was helps nobody.
    return 'invalid';
  }
}

const unescaped = (step: string): string => step.replaceAll('~1', '/').replaceAll('~0', '~');
const shown = (value: unknown): string => (JSON.stringify(value) ?? '').slice(0, MAX_SHOWN);
