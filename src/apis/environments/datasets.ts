import { z } from 'zod';
import type { Environments } from '../../domains/environments/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentDataset } from './present-sample.ts';
import { Timestamp } from './wire.ts';

export const DatasetShown = z.object({
  name: z.string().meta({ examples: ['starter'] }),
  description: z.string().nullable(),
  sample_count: z.int(),
  created_at: Timestamp.nullable(),
});

export type DatasetDomains = { environments: Environments };

export const datasetRoutes = ({ environments }: DatasetDomains): Route[] => [
  route({
    method: 'GET',
    path: '/api/v1/datasets',
    tag: 'Datasets',
    summary: 'List the datasets',
    access: 'public',
    replies: { 200: { description: 'The datasets', schema: z.array(DatasetShown) } },
    handle: async (op) => ok((await environments.datasets(op)).map(presentDataset)),
  }),
];
