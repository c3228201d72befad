import { z } from 'zod';
import { AppError, type Code, type FieldError } from '../kernel/errors.ts';
import type { Api, Route } from './contract.ts';

/** A JSON Schema (2020-12) as OpenAPI 3.1 embeds it; only what readers of the document look at is named. */
export type Schema = {
  type?: string;
  description?: string;
  format?: string;
  pattern?: string;
  const?: unknown;
  enum?: unknown[];
  default?: unknown;
  examples?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  $ref?: string;
};

export type Parameter = {
  name: string;
  in: 'path' | 'query' | 'header';
  required: boolean;
  description?: string;
  schema: Schema;
};

type Content = Record<string, { schema: Schema }>;
export type Response = { description: string; headers?: Record<string, { $ref: string }>; content?: Content };

export type Operation = {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  security: Record<string, string[]>[];
  /** The path of the same route that is to be read about. */
  'x-alias-of'?: string;
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Content };
  responses: Record<string, Response>;
};

export type OpenApiDocument = {
  openapi: string;
  info: { title: string; version: string; description: string; license: { name: string; identifier: string } };
  servers: { url: string }[];
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, Schema>;
    headers: Record<string, { description: string; schema: Schema }>;
    securitySchemes: Record<string, Record<string, string>>;
  };
};

export type DocumentOptions = { apis: readonly Api[]; publicUrl: string; version: string };

/** One OpenAPI 3.1 document of every route, made from the tables that serve them. */
export function openApiDocument({ apis, publicUrl, version }: DocumentOptions): OpenApiDocument {
  const routes = apis.flatMap((api) => api.routes.map((route) => ({ api, route })));
  const tags = new Map(routes.map(({ api, route }) => [route.tag, api.title]));
  const paths: OpenApiDocument['paths'] = {};
  for (const { api, route } of routes) {
    (paths[spelled(route.path)] ??= {})[route.method.toLowerCase()] = operation(api, route);
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Freehold',
      version,
      description: 'A self-hosted cloud whose customers are AI agents.',
      license: { name: 'Apache 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: publicUrl }],
    tags: [...tags].map(([name, title]) => ({ name, description: `${title} contract` })),
    paths,
    components: {
      schemas: Object.fromEntries(apis.map((api) => [errorName(api), toSchema(api.errorSchema, 'output')])),
      headers: HEADERS,
      securitySchemes: SECURITY_SCHEMES,
    },
  };
}

const HEADERS = {
  'X-Request-ID': {
    description: 'Names the request in our log. Your own, where you sent a sane one.',
    schema: { type: 'string' },
  },
  'Retry-After': { description: 'Seconds after which a retry makes sense.', schema: { type: 'integer' } },
};
const SECURITY_SCHEMES = {
  apiKey: {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key, or the access token of a login. A key alone, without `Bearer`, is understood too.',
  },
  apiKeyHeader: {
    type: 'apiKey',
    in: 'header',
    name: 'X-API-KEY',
    description: 'The same key in a header of its own.',
  },
  adminKey: { type: 'http', scheme: 'bearer', description: 'The key of whoever runs this server.' },
  programToken: {
    type: 'http',
    scheme: 'bearer',
    description: 'A token that the operator gives to a program of theirs.',
  },
  internalKey: {
    type: 'apiKey',
    in: 'header',
    name: 'X-INTERNAL-API-KEY',
    description: 'The key of programs that whoever runs this server trusts.',
  },
};

/** What says of each header in which a program shows its secret how that is done. */
const PROGRAM_SCHEMES: Record<string, keyof typeof SECURITY_SCHEMES> = {
  authorization: 'programToken',
  'x-internal-api-key': 'internalKey',
};

const errorName = (api: Api): string => `${pascal(api.name)}Error`;

function operation(api: Api, route: Route): Operation {
  const parameters = [...pathParameters(route), ...queryParameters(route), ...headerParameters(route)];
  return {
    operationId: route.operationId ?? operationId(route),
    tags: [route.tag],
    summary: route.summary,
    ...(route.description && { description: route.description }),
    security: security(route),
    ...(route.aliasOf && { 'x-alias-of': spelled(route.aliasOf) }),
    ...(parameters.length > 0 && { parameters }),
    ...(route.body && {
      requestBody: {
        required: !route.body.safeParse({}).success,
        content: { 'application/json': { schema: toSchema(route.body, 'input') } },
      },
    }),
    ...(route.stream && {
      requestBody: {
        required: true,
        content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
      },
    }),
    responses: { ...successes(route), ...failures(api, route) },
  };
}

const spelled = (path: string): string => path.replaceAll(/:(\w+)/g, '{$1}');

function operationId({ method, path, aliasOf }: Route): string {
  const name = pascal(path.replace(/^\/v1\b/, '').replaceAll(/:(\w+)/g, 'by_$1') || '/root');
  return method.toLowerCase() + name + (aliasOf ? 'Alias' : '');
}

const pascal = (text: string): string =>
  text
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join('');

/** Any one of the scopes is enough, in either header. */
function security({ access, scopes, recognises, secret }: Route): Record<string, string[]>[] {
  const program = secret && PROGRAM_SCHEMES[secret.header];
  if (program) return [{ [program]: [] }];
  if (access === 'public') return recognises ? [{}, { apiKey: [] }, { apiKeyHeader: [] }] : [];
  if (access !== 'account') return [{ adminKey: [] }];
  const alternatives = scopes?.map((scope) => [scope]) ?? [[]];
  return alternatives.flatMap((needed): Record<string, string[]>[] => [{ apiKey: needed }, { apiKeyHeader: needed }]);
}

const pathParameters = ({ path, params }: Route): Parameter[] => {
  const described = params ? toSchema(params, 'input').properties : undefined;
  return [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: described?.[name] ?? { type: 'string' },
  }));
};

function queryParameters({ query }: Route): Parameter[] {
  if (!query) return [];
  const written = toSchema(query, 'input');
  // A query is text on the wire; what it is read as says more, where it is known.
  const { properties = {} } = toSchema(query, 'output');
  return Object.entries(properties).map(([name, { description, ...read }]) => ({
    name,
    in: 'query',
    required: written.required?.includes(name) ?? false,
    ...(description && { description }),
    schema: read.type ? read : { ...written.properties?.[name], ...read },
  }));
}

const headerParameters = ({ idempotent }: Route): Parameter[] =>
  idempotent
    ? [
        {
          name: 'Idempotency-Key',
          in: 'header',
          required: false,
          description: 'Names the request: the same key and body answers the first reply again, for a day.',
          schema: { type: 'string', minLength: 1, maxLength: 255 },
        },
      ]
    : [];

const ALWAYS_HEADERS = { 'X-Request-ID': { $ref: '#/components/headers/X-Request-ID' } };
const RETRY_HEADERS = { ...ALWAYS_HEADERS, 'Retry-After': { $ref: '#/components/headers/Retry-After' } };

const NO_CONTENT = 204;

const successes = ({ replies }: Route): Record<string, Response> =>
  Object.fromEntries(
    Object.entries(replies).map(([status, { description, schema, contentType = 'application/json' }]) => [
      status,
      {
        description,
        headers: ALWAYS_HEADERS,
        ...(Number(status) !== NO_CONTENT && { content: { [contentType]: { schema: toSchema(schema, 'output') } } }),
      },
    ]),
  );

const MEANING: Record<Code, string> = {
  invalid: 'The request itself is wrong',
  unauthenticated: 'No credential, or one that does not hold',
  unaffordable: 'The money is not there; nothing has changed',
  forbidden: 'The key may not do this',
  not_found: 'Does not exist, or not for this caller',
  method_not_allowed: 'The path has other methods',
  conflict: 'Not possible in the present state, or an Idempotency-Key that was used for something else',
  too_large: 'The request body is too large',
  unsupported_media: 'The request body is not application/json',
  rate_limited: 'Too many requests',
  unconfigured: 'This part of the server is not set up',
  at_capacity: 'The server is full',
  internal: 'A defect of ours',
};

/** What can go wrong on this route, in its contract's own statuses. */
function failures(api: Api, route: Route): Record<string, Response> {
  const responses: Record<string, Response> = {};
  for (const [code, error] of [...codesOf(route)].flatMap(errorsOf)) {
    const { status } = api.presentError(error);
    const earlier = responses[status]?.description;
    if (earlier?.includes(MEANING[code])) continue;
    responses[status] = {
      description: earlier ? `${earlier}; or: ${MEANING[code]}` : MEANING[code],
      headers: status === 429 || status === 503 ? RETRY_HEADERS : ALWAYS_HEADERS,
      content: { 'application/json': { schema: { $ref: `#/components/schemas/${errorName(api)}` } } },
    };
  }
  return responses;
}

const FIELD: FieldError = { in: 'body', path: [], message: 'any', problem: 'malformed' };

/** What is wrong with a field is told in another status by some contracts. */
const errorsOf = (code: Code): [Code, AppError][] => {
  const error = new AppError(code, MEANING[code]);
  return code === 'invalid'
    ? [
        [code, error],
        [code, new AppError(code, MEANING[code], { fields: [FIELD] })],
      ]
    : [[code, error]];
};

function codesOf(route: Route): Set<Code> {
  const { access, recognises, secret, scopes, path, body, stream, idempotent, fails, method } = route;
  const codes = new Set<Code>(['invalid', 'rate_limited', 'internal']);
  if (access !== 'public' || recognises || secret) codes.add('unauthenticated');
  if (scopes) codes.add('forbidden');
  if (path.includes(':')) codes.add('not_found');
  if (method !== 'GET' && !stream) codes.add('unsupported_media').add('too_large');
  if (body && idempotent) codes.add('conflict');
  return fails ? codes.union(new Set(fails)) : codes;
}

/** Formats whose pattern says nothing more. */
const SPOKEN_FORMATS = new Set(['date-time', 'uuid', 'email', 'uri']);

function toSchema(schema: z.ZodType, io: 'input' | 'output'): Schema {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => tidy(jsonSchema as Schema, io),
  });
  return json as Schema;
}

/** Leaves out what a reader does not need, and what we do not promise: a reply may get new fields. */
function tidy(schema: Schema, io: 'input' | 'output'): void {
  if (schema.format && SPOKEN_FORMATS.has(schema.format)) delete schema.pattern;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  if (io === 'output' && schema.additionalProperties === false) delete schema.additionalProperties;
}
