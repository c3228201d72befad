import { z } from 'zod';
import { bulkLabels, type Compute, type Server } from '../../domains/compute/index.ts';
import type { Payments } from '../../domains/payments/index.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { accepted, ok, route, type Route } from '../contract.ts';
import { balanceOf, type AuthDomains } from './auth.ts';
import { presentBalance, presentDeployed, presentPrice, presentServer } from './present.ts';
import {
  Accepted,
  BulkDeployment,
  Decimal,
  DeployedShown,
  Deployment,
  IdParams,
  LOOK,
  RENT,
  ServerShown,
} from './wire.ts';

const TAG = 'Servers';

const OneServer = z.object({ server: ServerShown });
const Spending = z.object({
  balance: Decimal,
  hourlySpend: Decimal.meta({ description: 'What an hour of all ACTIVE servers costs.', examples: ['0.0137'] }),
});

export type ServersDomains = AuthDomains & { compute: Compute; payments: Payments };

const shown = async (compute: Compute, op: AccountOp, server: Server) =>
  presentServer(server, await compute.access(op, server));

export const serverRoutes = (domains: ServersDomains): Route[] => [
  billingRoute(domains),
  ...deployRoutes(domains),
  ...lookRoutes(domains),
  route({
    method: 'DELETE',
    path: '/servers/:id',
    tag: TAG,
    summary: 'Destroy a server',
    description: 'With all that is on it. It costs nothing after the hour that runs.',
    access: 'account',
    scopes: RENT,
    params: IdParams,
    fails: ['conflict'],
    replies: { 202: { description: 'It is being destroyed', schema: Accepted } },
    handle: async (op, { params }) => {
      await domains.compute.destroy(op, 'hourly', params.id);
      return accepted({ ok: true });
    },
  }),
];

const billingRoute = (domains: ServersDomains): Route =>
  route({
    method: 'GET',
    path: '/billing',
    tag: TAG,
    summary: 'Show the balance and what an hour costs',
    access: 'account',
    scopes: LOOK,
    replies: { 200: { description: 'Balance and spending', schema: Spending } },
    handle: async (op) =>
      ok({
        balance: presentBalance(await balanceOf(domains, op.actor.accountId)),
        hourlySpend: presentPrice(await domains.compute.hourlySpend(op)),
      }),
  });

const deployRoutes = ({ compute }: ServersDomains): Route[] => [
  route({
    method: 'POST',
    path: '/servers',
    tag: TAG,
    summary: 'Deploy a server',
    description:
      'It is accepted, and not there yet: ask for it every few seconds until it is ACTIVE, which it is when SSH answers, or ERROR, and then it costs nothing. Its price never changes. With `sshKey` root comes in by that key, else by the `rootPassword` of the reply.',
    access: 'account',
    scopes: RENT,
    idempotent: true,
    body: Deployment,
    fails: ['unaffordable', 'at_capacity'],
    replies: { 202: { description: 'It is being made', schema: z.object({ server: DeployedShown }) } },
    handle: async (op, { body: { label, ...order } }) => {
      const deployed = await compute.deploy(op, [{ name: label, ...order }]);
      return accepted({ server: deployed.map(presentDeployed)[0] });
    },
  }),
  route({
    method: 'POST',
    path: '/servers/bulk',
    tag: TAG,
    summary: 'Deploy up to 10 servers',
    description: 'All of them or none. Their labels get -1, -2 and so on.',
    access: 'account',
    scopes: RENT,
    idempotent: true,
    body: BulkDeployment,
    fails: ['unaffordable', 'at_capacity'],
    replies: { 202: { description: 'They are being made', schema: z.object({ servers: z.array(DeployedShown) }) } },
    handle: async (op, { body: { label, count, ...order } }) => {
      const orders = bulkLabels(label, count).map((name) => ({ name, ...order }));
      return accepted({ servers: (await compute.deploy(op, orders)).map(presentDeployed) });
    },
  }),
];

const lookRoutes = ({ compute }: ServersDomains): Route[] => [
  route({
    method: 'GET',
    path: '/servers',
    tag: TAG,
    summary: 'List servers, oldest first',
    description: 'All that are not destroyed.',
    access: 'account',
    scopes: LOOK,
    replies: { 200: { description: 'The servers', schema: z.object({ servers: z.array(ServerShown) }) } },
    handle: async (op) => {
      const servers = await compute.list(op, 'hourly');
      return ok({ servers: await Promise.all(servers.map((server) => shown(compute, op, server))) });
    },
  }),
  route({
    method: 'GET',
    path: '/servers/:id',
    tag: TAG,
    summary: 'Show a server',
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    replies: { 200: { description: 'The server', schema: OneServer } },
    handle: async (op, { params }) => {
      const server = await compute.get(op, 'hourly', params.id);
      return ok({ server: await shown(compute, op, server) });
    },
  }),
];
