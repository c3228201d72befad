import { z } from 'zod';
import type { Machines, Sample } from '../../domains/machines/index.ts';
import type { Sandbox, Sandboxes } from '../../domains/sandboxes/index.ts';
import { isAppError } from '../../kernel/errors.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { after, HOUR, SECOND } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import { READ, SandboxParams, Timestamp } from './wire.ts';

const MIB = 1_024 * 1_024;
const MAX_BATCH = 100;
const MAX_IDS = 5_000;
const TAG = 'E2B sandboxes';

const Metric = z.object({
  timestamp: Timestamp,
  timestampUnix: z.int(),
  cpuCount: z.number(),
  cpuUsedPct: z.number(),
  memUsed: z.int(),
  memTotal: z.int(),
  memCache: z.int(),
  diskUsed: z.int(),
  diskTotal: z.int(),
});

const Seconds = z
  .string()
  .regex(/^\d{1,12}$/, { error: 'must be seconds since 1970' })
  .transform((text) => new Date(Number(text) * SECOND));

export type MetricDomains = { machines: Pick<Machines, 'samples'>; sandboxes: Pick<Sandboxes, 'get'> };

export const metricRoutes = (domains: MetricDomains): Route[] => [
  route({
    method: 'GET',
    path: '/e2b/api/sandboxes/metrics',
    tag: TAG,
    summary: 'See what several sandboxes use',
    description: 'The newest figures of each; sandboxes that are not there are left out.',
    access: 'account',
    scopes: READ,
    query: z.object({
      sandbox_ids: z
        .string()
        .max(MAX_IDS)
        .transform((text) => text.split(',').filter((id) => id !== ''))
        .pipe(z.array(z.string()).max(MAX_BATCH)),
    }),
    replies: {
      200: { description: 'By sandbox', schema: z.object({ sandboxes: z.record(z.string(), Metric) }) },
    },
    handle: async (op, { query }) => {
      const newest = await Promise.all(query.sandbox_ids.map((id) => newestMetric(domains, op, id)));
      return ok({ sandboxes: Object.fromEntries(newest.filter((entry) => entry !== undefined)) });
    },
  }),
  route({
    method: 'GET',
    path: '/e2b/api/sandboxes/:sandboxID/metrics',
    tag: TAG,
    summary: 'See what a sandbox used',
    access: 'account',
    scopes: READ,
    params: SandboxParams,
    query: z.object({ start: Seconds.optional(), end: Seconds.optional() }),
    replies: { 200: { description: 'Every few seconds of the last hour', schema: z.array(Metric) } },
    handle: async (op, { params, query }) => {
      const sandbox = await domains.sandboxes.get(op, params.sandboxID);
      const samples = await domains.machines.samples(op, sandbox.machineId, spanOf(op, query));
      return ok(samples.map((sample) => presentMetric(sandbox, sample)));
    },
  }),
];

const spanOf = ({ now }: AccountOp, { start, end }: { start?: Date; end?: Date }) => ({
  start: start ?? after(now, -HOUR),
  end: end ?? now,
});

async function newestMetric(
  { machines, sandboxes }: MetricDomains,
  op: AccountOp,
  id: string,
): Promise<[string, z.input<typeof Metric>] | undefined> {
  try {
    const sandbox = await sandboxes.get(op, id);
    const newest = (await machines.samples(op, sandbox.machineId, spanOf(op, {}))).at(-1);
    return newest && [id, presentMetric(sandbox, newest)];
  } catch (error) {
    if (isAppError(error, 'not_found')) return undefined;
    throw error;
  }
}

const presentMetric = ({ limits }: Sandbox, sample: Sample): z.input<typeof Metric> => ({
  timestamp: sample.at.toISOString(),
  timestampUnix: Math.floor(sample.at.getTime() / SECOND),
  cpuCount: limits.vcpus,
  cpuUsedPct: sample.cpuUsedPercent,
  memUsed: sample.memoryBytes,
  memTotal: limits.memoryMb * MIB,
  memCache: sample.memoryCacheBytes,
  diskUsed: sample.diskUsedBytes,
  diskTotal: sample.diskTotalBytes,
});
