import { z } from 'zod';
import type { Machines } from '../../domains/machines/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentMachine } from './present.ts';

const MachineShown = z.object({
  id: z.string(),
  driver: z.string(),
  tier: z.string(),
  state: z.enum(['creating', 'running', 'paused', 'stopped', 'pooled', 'destroying']),
  account_id: z.string(),
  purpose: z.string(),
  limits: z.object({ vcpu: z.number(), memory_mb: z.int(), disk_gb: z.number(), processes: z.int() }),
  usage: z
    .object({
      cpu_seconds: z.number(),
      memory_bytes: z.int(),
      disk_bytes: z.int(),
      processes: z.int(),
      network_received_bytes: z.int(),
      network_sent_bytes: z.int(),
    })
    .nullable(),
  created_at: z.iso.datetime(),
});

export const machineRoutes = ({ machines }: { machines: Pick<Machines, 'list' | 'sweep'> }): Route[] => [
  route({
    method: 'GET',
    path: '/v1/admin/machines',
    tag: 'Operations',
    summary: 'List all machines that are not destroyed',
    access: 'admin',
    replies: { 200: { description: 'The machines', schema: z.object({ machines: z.array(MachineShown) }) } },
    handle: async (op) => ok({ machines: (await machines.list(op)).map(presentMachine) }),
  }),
  route({
    method: 'POST',
    path: '/v1/admin/machines/sweep',
    tag: 'Operations',
    summary: 'Remove machines that nobody has a right to any more',
    access: 'admin',
    replies: { 200: { description: 'Ids of what was removed', schema: z.object({ removed: z.array(z.string()) }) } },
    handle: async (op) => ok({ removed: (await machines.sweep(op)).removed }),
  }),
];
