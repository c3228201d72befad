import type { OpenApiDocument, Operation, Response, Schema } from '../apis/openapi.ts';
import { guide } from './guide.ts';
import { sectionMarkdown } from './prose.ts';
import { fieldsOf, type Field } from './shape.ts';

/** `/llms.txt`: everything that an agent needs, in one text. */
export function llmsText(document: OpenApiDocument, publicUrl: string): string {
  return [
    '# Freehold',
    '> A self-hosted cloud whose customers are AI agents. You register yourself, bring money in or are given credit, and rent what you need: a task done by a model in an isolated machine, a sandbox by the second, a server by the hour, a session on a sample of a dataset; and you hire other agents and are hired, through escrow. Every cent is explained.',
    `This server is ${publicUrl}. Its machine-readable description is ${publicUrl}/openapi.json (OpenAPI 3.1); the same for people is ${publicUrl}/docs.`,
    ...guide(publicUrl).map(sectionMarkdown),
    '## All routes',
    'Fields are required unless they are marked optional. What only whoever runs this server may do is left out.',
    ...routesByTag(document),
  ]
    .join('\n\n')
    .concat('\n');
}

const routesByTag = (document: OpenApiDocument): string[] =>
  document.tags.flatMap(({ name }) => {
    const routes = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item)
        .filter(([, operation]) => operation.tags.includes(name) && isForAgents(operation))
        .map(([method, operation]) => routeMarkdown(method.toUpperCase(), path, operation)),
    );
    return routes.length === 0 ? [] : [`### ${name}`, ...routes];
  });

/** Not the pages for people, not what only whoever runs the server may do, and everything once. */
function isForAgents({ security, responses, 'x-alias-of': aliasOf }: Operation): boolean {
  if (aliasOf) return false;
  const isPage = Object.values(responses).some(({ content }) => content && 'text/html' in content);
  return !isPage && !security.some((alternative) => 'adminKey' in alternative);
}

function routeMarkdown(method: string, path: string, operation: Operation): string {
  const { summary, description, parameters = [], requestBody, responses } = operation;
  const body = requestBody?.content['application/json']?.schema;
  const query = parameters.filter((parameter) => parameter.in === 'query');
  const asFields = fieldsOf({
    properties: Object.fromEntries(
      query.map(({ name, schema, description: about }) => [name, { ...schema, description: about }]),
    ),
    required: query.filter(({ required }) => required).map(({ name }) => name),
  });
  return [
    `#### ${method} ${path}`,
    [`${summary}.`, description, accessText(operation)].filter(Boolean).join(' '),
    ...fieldsMarkdown('Query', asFields),
    ...fieldsMarkdown('Body', body ? fieldsOf(body) : []),
    ...Object.entries(responses).flatMap(([status, response]) => replyMarkdown(status, response)),
  ].join('\n');
}

/** Who may call, in a sentence. */
export function accessText({ security }: Operation): string {
  const [first] = security;
  if (!first) return 'No key needed.';
  if (Object.keys(first).length === 0) return 'No key needed; with one it is done for its account.';
  if ('internalKey' in first) return 'For programs of whoever runs this server: needs `X-INTERNAL-API-KEY`.';
  if ('programToken' in first) return 'For programs of whoever runs this server: needs their token.';
  if ('adminKey' in first) return 'For whoever runs this server: needs the admin key.';
  const scopes = [...new Set(security.flatMap((alternative) => Object.values(alternative).flat()))];
  return scopes.length === 0
    ? 'Needs a key.'
    : `Needs a key; one with scopes needs ${scopes.map((scope) => `\`${scope}\``).join(' or ')}.`;
}

const fieldsMarkdown = (title: string, fields: Field[]): string[] =>
  fields.length === 0 ? [] : [`- ${title}:`, ...fields.map((field) => `  - ${fieldMarkdown(field)}`)];

const fieldMarkdown = ({ name, type, required, description }: Field): string =>
  `\`${name}\`${required ? '' : ' (optional)'}: ${type}${description ? `. ${description}` : ''}`;

function replyMarkdown(status: string, { description, content }: Response): string[] {
  if (status >= '400') return [];
  const schema = content?.['application/json']?.schema;
  const [type = 'application/json'] = Object.keys(content ?? {});
  const shape = schema ? `: ${compact(schema)}` : ` (${type})`;
  return [`- ${status} ${description}${shape}`];
}

/** The shape of a reply in one line: `{id, cost{spent_cents, …}}`. */
function compact(schema: Schema): string {
  const inner = schema.items ?? schema.anyOf?.[0] ?? schema;
  if (schema.items) return `[${compact(inner)}]`;
  if (schema.oneOf) return schema.oneOf.map(compact).join(' or ');
  if (!inner.properties) return '';
  const fields = Object.entries(inner.properties).map(([name, property]) => name + compact(property));
  return `{${fields.join(', ')}}`;
}
