import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Api } from '../../src/apis/contract.ts';
import { openApiDocument, type OpenApiDocument, type Operation, type Schema } from '../../src/apis/openapi.ts';
import { startApis, type TestApis } from '../harness/apis.ts';

let world: TestApis;
let apis: readonly Api[];
let document: OpenApiDocument;
beforeAll(async () => {
  world = await startApis();
  apis = world.apis;
  document = openApiDocument({ apis, publicUrl: 'https://freehold.test', version: '1.2.3' });
});
afterAll(() => world.close());

const operations = (): [string, Operation][] =>
  Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]): [string, Operation] => [`${method} ${path}`, operation]),
  );

/** Every object in the document, with where it stands. */
function* walk(value: unknown, path = '#'): Generator<[string, Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield [path, value as Record<string, unknown>];
  for (const [key, child] of Object.entries(value)) yield* walk(child, `${path}/${key}`);
}

function* schemas(): Generator<[string, Schema]> {
  for (const [path, value] of walk(document)) if (path.endsWith('/schema')) yield* withParts(value, path);
  for (const [name, schema] of Object.entries(document.components.schemas)) yield* withParts(schema, name);
}

function* withParts(schema: Schema, path: string): Generator<[string, Schema]> {
  yield [path, schema];
  for (const [name, part] of Object.entries(schema.properties ?? {})) yield* withParts(part, `${path}.${name}`);
  if (schema.items) yield* withParts(schema.items, `${path}[]`);
  for (const part of [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) yield* withParts(part, `${path}|`);
}

/** The fixed fields of OpenAPI 3.1.1 that this document uses, for each kind of object. */
const Description = z.strictObject({ $ref: z.string() });
const Content = z.record(z.string().regex(/^[a-z]+\/[a-z0-9.+-]+/), z.strictObject({ schema: z.looseObject({}) }));
const OperationObject = z.strictObject({
  operationId: z.string().regex(/^[a-z][A-Za-z0-9]*$/),
  tags: z.array(z.string()).length(1),
  summary: z.string().min(1),
  description: z.string().min(1).optional(),
  security: z.array(z.record(z.string(), z.array(z.string()))),
  'x-alias-of': z.string().startsWith('/').optional(),
  parameters: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        in: z.enum(['path', 'query', 'header']),
        required: z.boolean(),
        description: z.string().optional(),
        schema: z.looseObject({}),
      }),
    )
    .optional(),
  requestBody: z.strictObject({ required: z.boolean(), content: Content }).optional(),
  responses: z.record(
    z.string().regex(/^[1-5]\d\d$/),
    z.strictObject({
      description: z.string().min(1),
      headers: z.record(z.string(), Description).optional(),
      content: Content.optional(),
    }),
  ),
});
const DocumentObject = z.strictObject({
  openapi: z.string().regex(/^3\.1\.\d+$/),
  info: z.strictObject({
    title: z.string().min(1),
    version: z.string().min(1),
    description: z.string(),
    license: z.strictObject({ name: z.string(), identifier: z.string() }),
  }),
  servers: z.array(z.strictObject({ url: z.url() })),
  tags: z.array(z.strictObject({ name: z.string(), description: z.string() })),
  paths: z.record(
    z.string().startsWith('/'),
    z.partialRecord(z.enum(['get', 'put', 'post', 'delete', 'patch']), OperationObject),
  ),
  components: z.strictObject({
    schemas: z.record(z.string().regex(/^[A-Za-z0-9._-]+$/), z.looseObject({})),
    headers: z.record(z.string(), z.strictObject({ description: z.string(), schema: z.looseObject({}) })),
    securitySchemes: z.record(z.string(), z.looseObject({ type: z.enum(['http', 'apiKey']) })),
  }),
});

/** What its contract wants refused to everybody. */
const REFUSED_TO_ALL = 'get /v1/mission-protocol';

describe('the OpenAPI document', () => {
  test('has the fixed fields of OpenAPI 3.1 and no others', () => {
    expect(DocumentObject.safeParse(document).error?.issues ?? []).toEqual([]);
    expect(DocumentObject.safeParse({ ...document, openapi: '3.0.3' }).success).toBe(false);
  });

  test('has every route of every contract, once', () => {
    const routes = apis.flatMap((api) => api.routes.map(({ method, path }) => `${method} ${path}`));
    expect(operations()).toHaveLength(new Set(routes).size);
    expect(routes.length).toBeGreaterThan(10);
    const ids = operations().map(([, { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('declares exactly the parameters that stand in a path', () => {
    for (const [name, { parameters = [] }] of operations()) {
      const inPath = [...name.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      const declared = parameters.filter((parameter) => parameter.in === 'path');
      expect([name, declared.map((parameter) => parameter.name)]).toEqual([name, inPath]);
      expect(declared.every(({ required }) => required)).toBe(true);
    }
  });

  test('names only tags, security schemes and components that it declares', () => {
    const tags = new Set(document.tags.map(({ name }) => name));
    const schemes = new Set(Object.keys(document.components.securitySchemes));
    for (const [, operation] of operations()) {
      expect(tags).toContain(operation.tags[0]);
      for (const requirement of operation.security)
        expect([...schemes]).toEqual(expect.arrayContaining(Object.keys(requirement)));
    }
    for (const [path, { $ref }] of walk(document)) {
      if (typeof $ref !== 'string') continue;
      const target = $ref
        .slice(2)
        .split('/')
        .reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], document);
      expect([path, target]).toEqual([path, expect.any(Object)]);
    }
  });

  test('answers every operation with a success and tells its errors in the contract’s statuses', () => {
    for (const [name, { responses, security }] of operations()) {
      const statuses = Object.keys(responses);
      expect([name, statuses.some((status) => status < '400')]).toEqual([name, name !== REFUSED_TO_ALL]);
      expect([name, statuses]).toEqual([name, expect.arrayContaining(['429', '500'])]);
      if (security.length > 0) expect([name, statuses]).toEqual([name, expect.arrayContaining(['401'])]);
    }
  });

  test('has schemas that a JSON Schema reader takes, with examples that they allow', () => {
    let examples = 0;
    for (const [path, schema] of schemas()) {
      const reader = schema.$ref ? z.unknown() : z.fromJSONSchema(schema as z.core.JSONSchema.JSONSchema);
      for (const example of schema.examples ?? []) {
        examples++;
        expect([path, reader.safeParse(example).error]).toEqual([path, undefined]);
      }
    }
    expect(examples).toBeGreaterThan(10);
  });

  test('asks for an object wherever a property is required', () => {
    for (const [path, { required = [], properties = {}, additionalProperties }] of schemas())
      if (!additionalProperties)
        expect([path, Object.keys(properties)]).toEqual([path, expect.arrayContaining(required)]);
  });
});
