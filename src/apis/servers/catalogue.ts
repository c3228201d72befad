import { z } from 'zod';
import { PLAN_IDS, PLANS, REGION_IDS, type Compute } from '../../domains/compute/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentPlan } from './present.ts';
import { Decimal } from './wire.ts';

const TAG = 'Servers';

export const PlanShown = z.object({
  id: z.enum(PLAN_IDS),
  name: z.string().meta({ examples: ['Micro'] }),
  vcpus: z.int(),
  memoryGb: z.int(),
  diskGb: z.int(),
  monthlyPrice: Decimal.meta({ examples: ['10'] }),
  hourlyPrice: Decimal.meta({ examples: ['0.0137'] }),
});
const RegionShown = z.object({
  id: z.enum(REGION_IDS),
  city: z.string(),
  country: z.string(),
  continent: z.string(),
  real: z.boolean().meta({ description: 'Whether its servers stand there. Those of the others stand at `host` too.' }),
  host: z.string().meta({ description: 'The host that its servers are made on.' }),
});

export const catalogueRoutes = ({ compute }: { compute: Compute }): Route[] => [
  route({
    method: 'GET',
    path: '/plans',
    tag: TAG,
    summary: 'List the sizes of servers and their prices',
    access: 'public',
    replies: { 200: { description: 'The plans', schema: z.object({ plans: z.array(PlanShown) }) } },
    handle: async () => ok({ plans: PLANS.map(presentPlan) }),
  }),
  route({
    method: 'GET',
    path: '/regions',
    tag: TAG,
    summary: 'List the regions, and which of them are real here',
    description: 'All regions are taken. On a server of one host all of them are that host.',
    access: 'public',
    replies: { 200: { description: 'The regions', schema: z.object({ regions: z.array(RegionShown) }) } },
    handle: async () => ok({ regions: compute.regions() }),
  }),
];
