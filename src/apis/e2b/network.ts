import { z } from 'zod';
import type { Network, Sandboxes } from '../../domains/sandboxes/index.ts';
import { route, type Route } from '../contract.ts';
import { Nothing, SandboxParams, WRITE } from './wire.ts';

const MAX_RULES = 256;
const MAX_RULE = 64;
const MAX_HOST = 256;
/** What is written like an address or a network; whether it is one, the domain knows. */
const ADDRESS = /^[0-9a-fA-F:.]+(\/\d{1,3})?$/;

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

const addresses = (name: string) =>
  z
    .array(
      z
        .string()
        .min(1)
        .max(MAX_RULE)
        .regex(ADDRESS, { error: `must be an address or a network (CIDR): ${name} with domains is not supported` }),
    )
    .max(MAX_RULES)
    .optional();

const egress = {
  allowOut: addresses('allowOut'),
  denyOut: addresses('denyOut'),
  rules: absent('network.rules'),
  egressProxy: absent('network.egressProxy'),
};

/** `network` of a new sandbox. */
export const NewNetwork = z.object({
  ...egress,
  allowPublicTraffic: z.boolean().optional(),
  maskRequestHost: z.string().min(1).max(MAX_HOST).nullable().optional(),
  httpsPorts: absent('network.httpsPorts'),
});

export const networkOf = (
  network: z.output<typeof NewNetwork> | undefined,
  internet: boolean | undefined,
): Partial<Network> => ({
  allowOut: network?.allowOut ?? [],
  denyOut: network?.denyOut ?? [],
  internet,
  publicTraffic: network?.allowPublicTraffic ?? true,
  maskRequestHost: network?.maskRequestHost ?? undefined,
});

export const networkRoutes = ({ sandboxes }: { sandboxes: Pick<Sandboxes, 'setNetwork'> }): Route[] => [
  route({
    method: 'PUT',
    path: '/e2b/api/sandboxes/:sandboxID/network',
    tag: 'E2B sandboxes',
    summary: 'Replace what a sandbox may reach',
    description: 'A list that is left out is emptied. What is allowed beats what is denied.',
    access: 'account',
    scopes: WRITE,
    params: SandboxParams,
    body: z.object({ ...egress, allow_internet_access: z.boolean().optional() }),
    replies: { 204: { description: 'The rules hold', schema: Nothing } },
    fails: ['conflict'],
    handle: async (op, { params, body }) => {
      const { allowOut = [], denyOut = [], allow_internet_access: internet } = body;
      await sandboxes.setNetwork(op, params.sandboxID, { allowOut, denyOut, internet });
      return { status: 204, body: undefined };
    },
  }),
];
