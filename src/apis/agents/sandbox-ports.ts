import { z } from 'zod';
import type { ExposedPort, Sandbox } from '../../domains/sandboxes/index.ts';
import { AppError } from '../../kernel/errors.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { created, ok, route, type Route } from '../contract.ts';
import type { SandboxDomains } from './sandboxes.ts';
import { digits, Done, EXEC, EXTENSION, LOOK, SANDBOXES } from './sandbox-wire.ts';
import { IdParams } from './wire.ts';

const MAX_PORT = 65_535;
const MAX_SUBDOMAIN_LENGTH = 63;

const Subdomain = z
  .string()
  .min(1)
  .max(MAX_SUBDOMAIN_LENGTH)
  .meta({ description: 'A name of its own: 3 to 63 of a-z, 0-9 and hyphens.', examples: ['my-app'] });
const Visibility = z
  .enum(['public', 'private'])
  .meta({ description: '`private`: requests need the header `e2b-traffic-access-token` with the `access_token`.' });
const PortBody = z.object({
  port: z
    .int()
    .min(1)
    .max(MAX_PORT)
    .optional()
    .meta({ description: 'May stand in the query instead, as all of these.', examples: [8080] }),
  subdomain: Subdomain.optional(),
  visibility: Visibility.optional(),
});
const PortQuery = z.strictObject({
  port: digits(MAX_PORT).optional(),
  subdomain: Subdomain.optional(),
  visibility: Visibility.optional(),
});
const PortShown = z.object({
  port: z.int(),
  public_url: z.string().meta({ examples: ['https://8080-k3v9w0q2m5x8c1r7t4yz.apps.example.com'] }),
  custom_url: z
    .string()
    .optional()
    .meta({ examples: ['https://my-app.apps.example.com'] }),
  subdomain: z.string().meta({ examples: ['my-app'] }),
  visibility: z.enum(['public', 'private']),
  access_token: z.string().optional().meta({ description: 'Opens a private port.' }),
});
const PortParams = z.object({ id: z.string(), port: z.string() });

/** Clause 1.8, in both spellings. */
export const sandboxPortRoutes = (domains: SandboxDomains): Route[] => [
  ...['/ports', '/ports/expose'].map((path) => exposeRoute(domains, `/v1/sandboxes/:id${path}`)),
  ...otherRoutes(domains),
];

const exposeRoute = (domains: SandboxDomains, path: string): Route =>
  route({
    method: 'POST',
    path,
    tag: SANDBOXES,
    summary: 'Give a port an address',
    description:
      'What listens there is reached by HTTP and WebSocket. A sandbox has one subdomain: another one replaces it.',
    access: 'account',
    scopes: EXEC,
    params: IdParams,
    query: PortQuery,
    body: PortBody,
    fails: ['conflict'],
    replies: { 201: { description: 'Where it is reached', schema: PortShown } },
    handle: async (op, { params, query, body }) => {
      const sandbox = await domains.sandboxes.get(op, params.id);
      const port = body.port ?? query.port;
      if (port === undefined) throw new AppError('invalid', 'port is required and must be an integer');
      const exposed = await domains.sandboxes.expose(op, sandbox.id, {
        port,
        subdomain: body.subdomain ?? query.subdomain,
        visibility: body.visibility ?? query.visibility,
      });
      return created(presentPort(domains, sandbox, exposed));
    },
  });

const otherRoutes = (domains: SandboxDomains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id/ports',
    tag: SANDBOXES,
    summary: 'List the ports that have an address',
    description: EXTENSION,
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    replies: { 200: { description: 'The ports', schema: z.object({ ports: z.array(PortShown) }) } },
    handle: async (op, { params }) => {
      const sandbox = await domains.sandboxes.get(op, params.id);
      const ports = await domains.sandboxes.ports(op, sandbox.id);
      const shown = ports.map((exposed) => presentPort(domains, sandbox, exposed));
      // Who may only look gets nothing to go in with.
      return ok({ ports: mayExec(op) ? shown : shown.map(({ access_token: _token, ...port }) => port) });
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/sandboxes/:id/ports/:port',
    tag: SANDBOXES,
    summary: 'Take the address of a port away',
    access: 'account',
    scopes: EXEC,
    params: PortParams,
    replies: { 200: { description: 'It has none any more', schema: Done } },
    handle: async (op, { params }) => {
      const sandbox = await domains.sandboxes.get(op, params.id);
      if (!/^\d{1,5}$/.test(params.port)) throw new AppError('not_found', 'Port not found');
      await domains.sandboxes.unexpose(op, sandbox.id, Number(params.port));
      return ok({ success: true, message: 'Port closed' });
    },
  }),
];

const mayExec = ({ actor }: AccountOp): boolean => actor.scopes === null || actor.scopes.includes('exec');

function presentPort(
  { sandboxes, appUrl }: SandboxDomains,
  sandbox: Sandbox,
  { port, subdomain, visibility }: ExposedPort,
): z.input<typeof PortShown> {
  const label = `${port}-${sandbox.code}`;
  const isPrivate = visibility === 'private' || !sandbox.network.publicTraffic;
  const token = isPrivate ? sandboxes.trafficToken(sandbox) : undefined;
  return {
    port,
    public_url: appUrl(label),
    ...(subdomain !== undefined && { custom_url: appUrl(subdomain) }),
    subdomain: subdomain ?? label,
    visibility,
    ...(token !== undefined && { access_token: token }),
  };
}
