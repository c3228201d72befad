import { z } from 'zod';
import type { Machines, Ssh } from '../../domains/machines/index.ts';
import { DEFAULT_LIMITS, type ListCursor, type Sandboxes } from '../../domains/sandboxes/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { SECOND } from '../../kernel/time.ts';
import { created, ok, route, type Route } from '../contract.ts';
import { presentSandbox } from './present-sandbox.ts';
import { sandboxExecRoutes } from './sandbox-exec.ts';
import { sandboxFileRoutes } from './sandbox-files.ts';
import { sandboxMetricRoutes } from './sandbox-metrics.ts';
import { sandboxPortRoutes } from './sandbox-ports.ts';
import { sandboxRestRoutes } from './sandbox-rest.ts';
import { sandboxRunRoutes } from './sandbox-runs.ts';
import { sandboxSnapshotRoutes } from './sandbox-snapshots.ts';
import { sandboxSshRoutes } from './sandbox-ssh.ts';
import { sandboxStreamRoutes } from './sandbox-streams.ts';
import { sandboxTerminalRoutes } from './sandbox-terminal.ts';
import { Done, LOOK, NewSandboxBody, SandboxShown, SANDBOXES } from './sandbox-wire.ts';
import { IdParams, limitQuery, WRITE } from './wire.ts';

export type SandboxDomains = {
  sandboxes: Sandboxes;
  machines: Machines;
  ssh: Ssh;
  /** How clients reach this server; asked when it is needed, because a free port is known late. */
  publicUrl: () => string;
  /** The address of a host name below the domain of apps, by its first label. */
  appUrl: (label: string) => string;
};

const ListQuery = limitQuery({ max: 100, fallback: 100 }).extend({
  status: z.enum(['running', 'paused']).optional().meta({ description: 'Both where left out.' }),
  before: z.string().max(100).optional().meta({ description: '`next_cursor` of the page before.' }),
});
const SandboxList = z.object({
  sandboxes: z.array(SandboxShown),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
});

/** Clause 1.8. */
export const sandboxRoutes = (domains: SandboxDomains): Route[] => [
  ...lifeRoutes(domains),
  ...sandboxRestRoutes(domains),
  ...sandboxExecRoutes(domains),
  ...sandboxRunRoutes(domains),
  ...sandboxFileRoutes(domains),
  ...sandboxStreamRoutes(domains),
  ...sandboxTerminalRoutes(domains),
  ...sandboxPortRoutes(domains),
  ...sandboxSshRoutes(domains),
  ...sandboxSnapshotRoutes(domains),
  ...sandboxMetricRoutes(domains),
];

const lifeRoutes = ({ sandboxes, publicUrl }: SandboxDomains): Route[] => [
  route({
    method: 'POST',
    path: '/v1/sandboxes',
    tag: SANDBOXES,
    summary: 'Create a sandbox',
    description:
      'A Linux computer of your own, ready when the reply comes. It is paid ahead by the minute; what is not used of a minute is given back. Debian with bash, Python, Node, git, curl and build tools; the user `user` may use sudo.',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    body: NewSandboxBody,
    fails: ['unaffordable', 'at_capacity', 'not_found'],
    replies: { 201: { description: 'The sandbox runs', schema: SandboxShown } },
    handle: async (op, { body }) => {
      const sandbox = await sandboxes.create(op, {
        origin: 'agents',
        name: body.name,
        template: body.template,
        limits: limitsOf(body),
        timeoutMs: body.timeout_seconds === undefined ? undefined : body.timeout_seconds * SECOND,
        metadata: body.metadata,
        env: body.env,
        lifecycle: {
          ...(body.on_timeout && { onTimeout: body.on_timeout }),
          ...(body.auto_resume !== undefined && { autoResume: body.auto_resume }),
        },
      });
      return created(presentSandbox(sandbox, publicUrl()));
    },
  }),
  route({
    method: 'GET',
    path: '/v1/sandboxes',
    tag: SANDBOXES,
    summary: 'List sandboxes, newest first',
    access: 'account',
    scopes: LOOK,
    query: ListQuery,
    replies: { 200: { description: 'The sandboxes', schema: SandboxList } },
    handle: async (op, { query }) => {
      const { rows, next } = await sandboxes.list(op, {
        states: query.status && [query.status],
        order: 'desc',
        limit: query.limit,
        after: query.before === undefined ? undefined : cursorOf(query.before),
      });
      return ok({
        sandboxes: rows.map((sandbox) => presentSandbox(sandbox, publicUrl())),
        has_more: next !== undefined,
        next_cursor: next ? `${next.startedAt.getTime()}.${next.seq}` : null,
      });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/sandboxes/:id',
    tag: SANDBOXES,
    summary: 'Show a sandbox',
    description: 'By its id or its short_id, as everywhere.',
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    replies: { 200: { description: 'The sandbox', schema: SandboxShown } },
    handle: async (op, { params }) => ok(presentSandbox(await sandboxes.get(op, params.id), publicUrl())),
  }),
  route({
    method: 'DELETE',
    path: '/v1/sandboxes/:id',
    tag: SANDBOXES,
    summary: 'Delete a sandbox',
    description: 'With all that is in it. What was paid and not used is given back.',
    access: 'account',
    scopes: WRITE,
    params: IdParams,
    replies: { 200: { description: 'It is gone', schema: Done } },
    handle: async (op, { params }) => {
      await sandboxes.destroy(op, params.id);
      return ok({ success: true, message: 'Sandbox deleted' });
    },
  }),
];

/** Where nothing is said of its size it is that of the snapshot, or the usual one. */
function limitsOf({ vcpu, memory_mb: memoryMb, disk_gb: diskGb }: z.output<typeof NewSandboxBody>) {
  if (vcpu === undefined && memoryMb === undefined && diskGb === undefined) return undefined;
  return {
    vcpus: vcpu ?? DEFAULT_LIMITS.vcpus,
    memoryMb: memoryMb ?? DEFAULT_LIMITS.memoryMb,
    diskGb: diskGb ?? DEFAULT_LIMITS.diskGb,
  };
}

function cursorOf(text: string): ListCursor {
  const [, time, seq] = /^(\d{1,15})\.(\d{1,18})$/.exec(text) ?? [];
  if (time === undefined || seq === undefined) throw new AppError('invalid', 'before must be a next_cursor');
  return { startedAt: new Date(Number(time)), seq: BigInt(seq) };
}
