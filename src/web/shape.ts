import type { Schema } from '../apis/openapi.ts';

/** JSON Schemas as people and agents read them. */
export type Field = {
  /** `cost.spent_cents`, `models[].slug`. */
  name: string;
  type: string;
  required: boolean;
  description: string | undefined;
};

const isNull = (schema: Schema): boolean => schema.type === 'null';

/** The schema without "or null", and whether it had that. */
function orNull(schema: Schema): { schema: Schema; nullable: boolean } {
  const alternatives = schema.anyOf ?? [];
  const [only, ...more] = alternatives.filter((part) => !isNull(part));
  if (!only || more.length > 0 || alternatives.length < 2) return { schema, nullable: false };
  return { schema: { ...only, description: schema.description ?? only.description }, nullable: true };
}

/** A type in a few words: `string, 10–50000 characters`, `integer, 1–100, default 20`, `array of string, or null`. */
export function typeText(given: Schema): string {
  const { schema, nullable } = orNull(given);
  const parts = [kindOf(schema), limitsOf(schema), defaultOf(given)].filter((part) => part !== '');
  return parts.join(', ') + (nullable ? ', or null' : '');
}

function kindOf(schema: Schema): string {
  if (schema.enum) return `one of ${schema.enum.map((value) => JSON.stringify(value)).join(', ')}`;
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.items) return `array of ${typeText(schema.items)}`;
  const alternatives = schema.oneOf ?? schema.anyOf;
  if (alternatives) return [...new Set(alternatives.map(kindOf))].join(' or ');
  const format = { 'date-time': 'time', uuid: 'UUID', email: 'e-mail address', uri: 'URL' }[schema.format ?? ''];
  return format ?? schema.type ?? 'any JSON';
}

function limitsOf({ type, minLength, maxLength, minimum, maximum, minItems, maxItems }: Schema): string {
  if (type === 'string') return range(minLength, maxLength, ' characters');
  if (type === 'array') return range(minItems, maxItems, ' items');
  return range(minimum, maximum, '');
}

function range(least: number | undefined, most: number | undefined, unit: string): string {
  if (least !== undefined && most !== undefined) return `${least}–${most}${unit}`;
  if (most !== undefined) return `up to ${most}${unit}`;
  return least === undefined ? '' : `from ${least}${unit}`;
}

const defaultOf = (schema: Schema): string => ('default' in schema ? `default ${JSON.stringify(schema.default)}` : '');

/** Every field of an object schema, those of inner objects with the path to them. */
export function fieldsOf(given: Schema, prefix = ''): Field[] {
  const { schema } = orNull(given);
  if (schema.items) return fieldsOf(schema.items, `${prefix}[]`);
  if (schema.oneOf) return schema.oneOf.flatMap((part) => fieldsOf(part, prefix)).filter(isFirstOfItsName);
  return Object.entries(schema.properties ?? {}).flatMap(([key, property]) => {
    const name = prefix === '' ? key : `${prefix}.${key}`;
    const required = schema.required?.includes(key) ?? false;
    const description = orNull(property).schema.description;
    return [{ name, type: typeText(property), required, description }, ...fieldsOf(property, name)];
  });
}

const isFirstOfItsName = (field: Field, index: number, all: Field[]): boolean =>
  all.findIndex((other) => other.name === field.name) === index;

/** Which properties an example shows. */
export type Shown = 'all' | 'required';

/** A value that the schema allows, from its own examples where it has them. */
export function exampleOf(given: Schema, shown: Shown = 'all'): unknown {
  const { schema } = orNull(given);
  const [example = schema.default] = schema.examples ?? [];
  if (example !== undefined) return example;
  if ('const' in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  const [alternative] = schema.oneOf ?? schema.anyOf ?? [];
  if (alternative) return exampleOf(alternative, shown);
  if (schema.items) return [exampleOf(schema.items, shown)];
  if (schema.properties) return exampleObject(schema, shown);
  return PLAIN_EXAMPLES[schema.type ?? ''] ?? null;
}

const PLAIN_EXAMPLES: Record<string, unknown> = { string: '…', integer: 1, number: 1, boolean: true, object: {} };

const exampleObject = ({ properties = {}, required = [] }: Schema, shown: Shown): unknown =>
  Object.fromEntries(
    Object.entries(properties)
      .filter(([key]) => shown === 'all' || required.includes(key))
      .map(([key, property]) => [key, exampleOf(property, shown)]),
  );
