import { z } from 'zod';
import type { Network, Outward, Sandboxes } from '../../domains/sandboxes/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { route, type Route } from '../contract.ts';
import { Nothing, SandboxParams, WRITE } from './wire.ts';

const MAX_RULES = 256;
const MAX_RULE = 255;
const MAX_HOST = 256;
const MAX_RULES_OF_HOST = 16;
const MAX_VALUE = 16_384;
const MAX_PORT = 65_535;
const MAX_PORTS = 100;
/** The daemon's own, behind which we stand ourselves. */
const ENVD_PORT = 49_983;
/** What is shown where a secret is. */
const HIDDEN = '***';

/** A field of the sheet that this server does not have: empty is welcome, anything else is refused by name. */
export const absent = (name: string) =>
  z
    .unknown()
    .refine(isEmpty, { error: `${name} is not supported by this server` })
    .optional()
    .meta({ description: 'Not supported: only an empty value is accepted.' });

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

const destinations = z.array(z.string().min(1).max(MAX_RULE)).max(MAX_RULES).optional();

const Rules = z
  .record(
    z.string().min(1).max(MAX_RULE),
    z
      .array(
        z.object({
          transform: z.object({ headers: z.record(z.string(), z.string().max(MAX_VALUE)).optional() }).optional(),
        }),
      )
      .max(MAX_RULES_OF_HOST),
  )
  .refine((rules) => Object.keys(rules).length <= MAX_RULES, { error: `must have at most ${MAX_RULES} hosts` });

const Proxy = z.object({
  address: z.string().min(1).max(MAX_HOST),
  username: z.string().optional(),
  password: z.string().optional(),
});

const egress = {
  allowOut: destinations.meta({
    description: 'Addresses, networks and hosts: `192.0.2.1`, `192.0.2.0/24`, `example.com`, `*.example.com`.',
  }),
  denyOut: destinations.meta({ description: 'Addresses and networks. `0.0.0.0/0` denies everything.' }),
  rules: Rules.nullish().meta({
    description: 'By host: headers that its requests over HTTP and HTTPS are given. Their values are not shown again.',
  }),
  egressProxy: Proxy.nullish().meta({ description: 'A SOCKS5 proxy at a public address, for all of TCP.' }),
};
type Egress = z.output<z.ZodObject<typeof egress>>;

/** `network` of a new sandbox. */
export const NewNetwork = z.object({
  ...egress,
  allowPublicTraffic: z.boolean().optional(),
  maskRequestHost: z.string().min(1).max(MAX_HOST).nullable().optional(),
  httpsPorts: z
    .array(
      z
        .int()
        .min(1)
        .max(MAX_PORT)
        .refine((port) => port !== ENVD_PORT, { error: `must not be ${ENVD_PORT}` }),
    )
    .max(MAX_PORTS)
    .nullish()
    .meta({ description: 'Ports whose server speaks TLS; its certificate is not verified.' }),
});

export const networkOf = (
  network: z.output<typeof NewNetwork> | undefined,
  internet: boolean | undefined,
): Partial<Network> => ({
  ...outwardOf(network ?? {}, internet),
  publicTraffic: network?.allowPublicTraffic ?? true,
  maskRequestHost: network?.maskRequestHost ?? undefined,
  httpsPorts: network?.httpsPorts ?? [],
});

const outwardOf = (
  { allowOut = [], denyOut = [], rules, egressProxy }: Egress,
  internet: boolean | undefined,
): Outward => ({
  allowOut,
  denyOut,
  internet,
  headers: headersOf(rules ?? {}),
  egressProxy: egressProxy ? proxyOf(egressProxy) : undefined,
});

/** Of several rules for a host, the later ones have the last word. */
const headersOf = (rules: z.output<typeof Rules>): Network['headers'] =>
  Object.fromEntries(
    Object.entries(rules).map(([host, list]) => [
      host,
      Object.fromEntries(list.flatMap(({ transform }) => Object.entries(transform?.headers ?? {}))),
    ]),
  );

function proxyOf({ address, username, password }: z.output<typeof Proxy>): Network['egressProxy'] {
  const [, host = '', port = ''] = /^([^:/@\s]+):(\d{1,5})$/.exec(address) ?? [];
  if (host === '') throw new AppError('invalid', 'egressProxy.address must be host:port');
  return { host, port: Number(port), username, password };
}

export const NetworkShown = z.object({
  allowOut: z.array(z.string()),
  denyOut: z.array(z.string()),
  rules: Rules.optional(),
  egressProxy: z.object({ address: z.string(), username: z.string().optional() }).optional(),
  allowPublicTraffic: z.boolean(),
  maskRequestHost: z.string().optional(),
  httpsPorts: z.array(z.int()).optional(),
});

/** Without what opens something elsewhere: the password of the proxy, and what headers say. */
export const presentNetwork = (network: Network): z.input<typeof NetworkShown> => ({
  allowOut: [...network.allowOut],
  denyOut: [...network.denyOut],
  ...(Object.keys(network.headers).length > 0 && { rules: presentRules(network.headers) }),
  ...(network.egressProxy && { egressProxy: presentProxy(network.egressProxy) }),
  allowPublicTraffic: network.publicTraffic,
  ...(network.maskRequestHost !== undefined && { maskRequestHost: network.maskRequestHost }),
  ...(network.httpsPorts.length > 0 && { httpsPorts: [...network.httpsPorts] }),
});

const presentRules = (headers: Network['headers']): z.input<typeof Rules> =>
  Object.fromEntries(
    Object.entries(headers).map(([host, values]) => [
      host,
      [{ transform: { headers: Object.fromEntries(Object.keys(values).map((name) => [name, HIDDEN])) } }],
    ]),
  );

const presentProxy = ({ host, port, username }: NonNullable<Network['egressProxy']>) => ({
  address: `${host}:${port}`,
  ...(username !== undefined && { username }),
});

export const networkRoutes = ({ sandboxes }: { sandboxes: Pick<Sandboxes, 'setNetwork'> }): Route[] => [
  route({
    method: 'PUT',
    path: '/e2b/api/sandboxes/:sandboxID/network',
    tag: 'E2B sandboxes',
    summary: 'Replace what a sandbox may reach',
    description: 'A field that is left out is emptied. What is allowed beats what is denied.',
    access: 'account',
    scopes: WRITE,
    params: SandboxParams,
    body: z.object({ ...egress, allow_internet_access: z.boolean().optional() }),
    replies: { 204: { description: 'The rules hold', schema: Nothing } },
    fails: ['conflict'],
    handle: async (op, { params, body }) => {
      await sandboxes.setNetwork(op, params.sandboxID, outwardOf(body, body.allow_internet_access));
      return { status: 204, body: undefined };
    },
  }),
];
