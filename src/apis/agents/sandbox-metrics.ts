import { z } from 'zod';
import { after, HOUR, SECOND } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentSample } from './present-sandbox.ts';
import type { SandboxDomains } from './sandboxes.ts';
import { digits, EXTENSION, LOOK, SANDBOXES } from './sandbox-wire.ts';
import { IdParams, Timestamp } from './wire.ts';

const MAX_SECONDS = 100_000_000_000;

const MetricsQuery = z.strictObject({
  start: digits(MAX_SECONDS).optional().meta({ description: 'Unix seconds; an hour ago where left out.' }),
  end: digits(MAX_SECONDS).optional().meta({ description: 'Unix seconds; now where left out.' }),
});
export const MetricShown = z.object({
  at: Timestamp,
  cpu_used_percent: z.number().meta({ description: 'Of all its processors together.' }),
  cpu_seconds: z.number(),
  memory_bytes: z.number(),
  memory_cache_bytes: z.number(),
  disk_used_bytes: z.number(),
  disk_total_bytes: z.number(),
  processes: z.int(),
  network_received_bytes: z.number(),
  network_sent_bytes: z.number(),
});

export const sandboxMetricRoutes = ({ sandboxes, machines }: SandboxDomains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id/metrics',
    tag: SANDBOXES,
    summary: 'Show what a sandbox used',
    description: `Looked at every five seconds while it runs, and kept for an hour. ${EXTENSION}`,
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    query: MetricsQuery,
    replies: { 200: { description: 'Oldest first', schema: z.object({ metrics: z.array(MetricShown) }) } },
    handle: async (op, { params, query }) => {
      const { machineId } = await sandboxes.get(op, params.id);
      const start = query.start === undefined ? after(op.now, -HOUR) : new Date(query.start * SECOND);
      const end = query.end === undefined ? op.now : new Date(query.end * SECOND);
      const samples = await machines.samples(op, machineId, { start, end });
      return ok({ metrics: samples.map(presentSample) });
    },
  }),
];
