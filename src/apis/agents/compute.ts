import { z } from 'zod';
import type { Compute } from '../../domains/compute/index.ts';
import { fingerprintOf } from '../../domains/machines/index.ts';
import { created, ok, route, type Method, type Route } from '../contract.ts';
import {
  COMPUTE,
  InstanceBody,
  InstanceDetails,
  InstanceListed,
  InstanceShown,
  KeyBody,
  LOOK,
  RENT,
} from './compute-wire.ts';
import { presentDetails, presentInstance, presentListed } from './present-instance.ts';
import { IdParams } from './wire.ts';

export type ComputeDomains = { compute: Compute };

/** Clause 1.5. */
export const computeRoutes = (domains: ComputeDomains): Route[] => [
  createRoute(domains),
  ...lookRoutes(domains),
  rekeyRoute(domains, 'PUT'),
  rekeyRoute(domains, 'POST'),
  deleteRoute(domains),
];

const createRoute = ({ compute }: ComputeDomains): Route =>
  route({
    method: 'POST',
    path: '/v1/compute',
    tag: COMPUTE,
    summary: 'Rent a computer by the month',
    description:
      'It runs when the reply comes: a Linux computer whose disk stays, with SSH for `agent`, who may use sudo. 500 cents for 30 days with 1 CPU, 1 GB and 10 GB of disk; 300 more for each CPU, 200 for each GB, 100 for each 5 GB of disk. The first 30 days are paid at once, each 30 more when they begin; where they are not there, it is suspended, and its disk kept for a week.',
    access: 'account',
    scopes: RENT,
    idempotent: true,
    body: InstanceBody,
    fails: ['unaffordable', 'conflict', 'at_capacity'],
    replies: { 201: { description: 'It runs', schema: InstanceShown } },
    handle: async (op, { body }) => {
      const instance = await compute.createInstance(op, {
        name: body.name,
        slug: body.slug,
        sshKey: body.ssh_public_key,
        limits: { vcpus: body.vcpu, memoryMb: body.memory_mb, diskGb: body.disk_gb },
      });
      return created(presentInstance(instance, await compute.access(op, instance)));
    },
  });

const lookRoutes = ({ compute }: ComputeDomains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/compute',
    tag: COMPUTE,
    summary: 'List rented computers, oldest first',
    access: 'account',
    scopes: LOOK,
    replies: { 200: { description: 'The instances', schema: z.object({ instances: z.array(InstanceListed) }) } },
    handle: async (op) => {
      const instances = await compute.list(op, 'monthly');
      return ok({
        instances: await Promise.all(
          instances.map(async (instance) => presentListed(instance, await compute.access(op, instance))),
        ),
      });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/compute/:id',
    tag: COMPUTE,
    summary: 'Show a rented computer',
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    replies: { 200: { description: 'The instance', schema: InstanceDetails } },
    handle: async (op, { params }) => {
      const instance = await compute.get(op, 'monthly', params.id);
      return ok(presentDetails(instance, await compute.access(op, instance)));
    },
  }),
];

const Rekeyed = z.object({ status: z.literal('updated'), fingerprint: z.string() });

const rekeyRoute = ({ compute }: ComputeDomains, method: Method): Route =>
  route({
    method,
    path: '/v1/compute/:id/ssh-key',
    tag: COMPUTE,
    summary: `Change the SSH key of a rented computer${method === 'POST' ? ', by POST' : ''}`,
    description: 'While it runs. The key before opens it no more; whoever is inside stays.',
    access: 'account',
    scopes: RENT,
    params: IdParams,
    body: KeyBody,
    fails: ['conflict'],
    replies: { 200: { description: 'The new key opens it', schema: Rekeyed } },
    handle: async (op, { params, body }) => {
      const given = { key: body.ssh_public_key, field: 'ssh_public_key' };
      const { authorizedKeys } = await compute.rotateKey(op, 'monthly', params.id, given);
      return ok({ status: 'updated', fingerprint: fingerprintOf(authorizedKeys[0] ?? '') });
    },
  });

const deleteRoute = ({ compute }: ComputeDomains): Route =>
  route({
    method: 'DELETE',
    path: '/v1/compute/:id',
    tag: COMPUTE,
    summary: 'Delete a rented computer',
    description: 'With all that is on it, for good. The 30 days that run are not given back.',
    access: 'account',
    scopes: RENT,
    params: IdParams,
    replies: { 200: { description: 'It is gone', schema: z.object({ status: z.literal('deleted') }) } },
    handle: async (op, { params }) => {
      await compute.destroy(op, 'monthly', params.id);
      return ok({ status: 'deleted' });
    },
  });
