import { z } from 'zod';
import type { Route } from '../../src/apis/contract.ts';

/** A JSON Schema as far as samples need it. */
export type FieldSchema = {
  type?: string;
  enum?: unknown[];
  const?: unknown;
  examples?: unknown[];
  minLength?: number;
  minimum?: number;
  anyOf?: FieldSchema[];
  properties?: Record<string, FieldSchema>;
  required?: string[];
};

/** The fields of a route's body; none where it takes no body. */
export const bodyFields = (route: Route): Record<string, FieldSchema> => schemaOf(route.body).properties ?? {};

/** The whole numbers that a route's query takes and that count from 1. */
export const countsInQuery = (route: Route): string[] => {
  const { properties = {} }: FieldSchema = route.query
    ? (z.toJSONSchema(route.query, { io: 'output', unrepresentable: 'any' }) as FieldSchema)
    : {};
  return Object.keys(properties).filter(
    (name) => properties[name]?.type === 'integer' && properties[name].minimum === 1,
  );
};

/**
 * A body that the route accepts, made from its schema: the required fields, and as many optional ones as it takes. A
 * field whose rule cannot be guessed carries an example.
 */
export function sampleBody(route: Route): Record<string, unknown> {
  const { properties = {}, required = [] } = schemaOf(route.body);
  const sample = Object.fromEntries(required.map((name) => [name, sampleOf(properties[name] ?? {})]));
  const optional = Object.entries(properties).filter(([name]) => !required.includes(name));
  for (const [name, field] of optional) {
    if (route.body?.safeParse(sample).success) break;
    sample[name] = sampleOf(field);
  }
  return sample;
}

/** What stands behind a route's path so that it takes the request: the required fields of its query. */
export function sampleQuery(route: Route): string {
  const { properties = {}, required = [] } = schemaOf(route.query);
  const fields = required.map((name) => [name, String(sampleOf(properties[name] ?? {}))]);
  return fields.length === 0 ? '' : `?${new URLSearchParams(fields).toString()}`;
}

const schemaOf = (schema: z.ZodType | undefined): FieldSchema =>
  schema ? (z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as FieldSchema) : {};

function sampleOf(field: FieldSchema): unknown {
  if (field.examples) return field.examples[0];
  if (field.const !== undefined) return field.const;
  if (field.enum) return field.enum[0];
  if (field.anyOf) return sampleOf(field.anyOf[0] ?? {});
  if (field.type === 'string') return 'x'.repeat(field.minLength ?? 1);
  if (field.type === 'integer' || field.type === 'number') return Math.max(field.minimum ?? 1, 1);
  if (field.type === 'boolean') return true;
  if (field.type === 'array') return [];
  return {};
}
