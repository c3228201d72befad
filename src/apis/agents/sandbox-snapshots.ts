import { z } from 'zod';
import type { Snapshot } from '../../domains/machines/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import { SECOND } from '../../kernel/time.ts';
import { created, ok, route, type Route } from '../contract.ts';
import { presentSandbox, presentSnapshot } from './present-sandbox.ts';
import type { SandboxDomains } from './sandboxes.ts';
import { Done, EXTENSION, LOOK, Name, SandboxShown, SANDBOXES, TimeoutSeconds } from './sandbox-wire.ts';
import { IdParams, limitQuery, Timestamp, WRITE } from './wire.ts';

const MAX_FORKS = 100;

const SnapshotBody = z.object({ name: Name.optional().meta({ examples: ['with-node-modules'] }) });
export const SnapshotShown = z.object({
  id: z.string().meta({ examples: ['snp_0198f0c2a7b47cc2b0d1e2f3a4b5c6d7'] }),
  name: z.string().nullable(),
  vcpu: z.number(),
  memory_mb: z.int(),
  disk_gb: z.number(),
  bytes: z.int().meta({ description: 'What it fills of the server’s disk.' }),
  created_at: Timestamp,
});
const SnapshotQuery = limitQuery({ max: 100, fallback: 100 }).extend({
  name: Name.optional(),
  before: z.string().max(100).optional().meta({ description: '`next_cursor` of the page before.' }),
});
const SnapshotList = z.object({
  snapshots: z.array(SnapshotShown),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
});
const ForkBody = z.object({
  count: z
    .int()
    .min(1)
    .max(MAX_FORKS)
    .default(1)
    .meta({ examples: [2] }),
  timeout_seconds: TimeoutSeconds.min(1)
    .optional()
    .meta({ examples: [3600] }),
});
const Forks = z.object({
  sandboxes: z.array(SandboxShown),
  errors: z.array(z.string()).meta({ description: 'Why the others could not be made.' }),
});

export const sandboxSnapshotRoutes = (domains: SandboxDomains): Route[] => [
  takeRoute(domains),
  forkRoute(domains),
  ...snapshotRoutes(domains),
];

const takeRoute = ({ sandboxes }: SandboxDomains): Route =>
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/snapshots',
    tag: SANDBOXES,
    summary: 'Take a snapshot of a sandbox’s disk',
    description: `Running or paused. It outlives the sandbox; give its id or name as \`template\` to begin from it. ${EXTENSION}`,
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    params: IdParams,
    body: SnapshotBody,
    fails: ['conflict'],
    replies: { 201: { description: 'The snapshot', schema: SnapshotShown } },
    handle: async (op, { params, body }) =>
      created(presentSnapshot(await sandboxes.snapshot(op, params.id, { name: body.name }))),
  });

const forkRoute = ({ sandboxes, publicUrl }: SandboxDomains): Route =>
  route({
    method: 'POST',
    path: '/v1/sandboxes/:id/fork',
    tag: SANDBOXES,
    summary: 'Make sandboxes that begin as a copy of this one',
    description: `Of its disk and settings; this one runs on. ${EXTENSION}`,
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    params: IdParams,
    body: ForkBody,
    fails: ['conflict', 'unaffordable', 'at_capacity'],
    replies: { 201: { description: 'Those that could be made', schema: Forks } },
    handle: async (op, { params, body }) => {
      const forks = await sandboxes.fork(op, params.id, {
        count: body.count,
        timeoutMs: body.timeout_seconds === undefined ? undefined : body.timeout_seconds * SECOND,
      });
      const made = forks.flatMap((fork) => ('sandbox' in fork ? [fork.sandbox] : []));
      const errors = forks.flatMap((fork) => ('error' in fork ? [fork.error] : []));
      if (made.length === 0 && errors[0]) throw errors[0];
      return created({
        sandboxes: made.map((sandbox) => presentSandbox(sandbox, publicUrl())),
        errors: errors.map(({ message }) => message),
      });
    },
  });

const snapshotRoutes = ({ machines }: SandboxDomains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/snapshots',
    tag: SANDBOXES,
    summary: 'List snapshots, newest first',
    description: EXTENSION,
    access: 'account',
    scopes: LOOK,
    query: SnapshotQuery,
    replies: { 200: { description: 'The snapshots', schema: SnapshotList } },
    handle: async (op, { query }) => {
      const { rows, next } = await machines.listSnapshots(op, {
        name: query.name,
        limit: query.limit,
        after: query.before === undefined ? undefined : cursorOf(query.before),
      });
      return ok({
        snapshots: rows.map(presentSnapshot),
        has_more: next !== undefined,
        next_cursor: next ? `${next.createdAt.getTime()}.${next.id}` : null,
      });
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/snapshots/:id',
    tag: SANDBOXES,
    summary: 'Delete a snapshot',
    description: `Sandboxes that began from it live on. ${EXTENSION}`,
    access: 'account',
    scopes: WRITE,
    params: IdParams,
    replies: { 200: { description: 'It is gone', schema: Done } },
    handle: async (op, { params }) => {
      const id = parseId('snapshot', params.id);
      if (!id) throw new AppError('not_found', 'Snapshot not found');
      await machines.removeSnapshot(op, id);
      return ok({ success: true, message: 'Snapshot deleted' });
    },
  }),
];

function cursorOf(text: string): Pick<Snapshot, 'createdAt' | 'id'> {
  const [time = '', name = ''] = text.split('.');
  const id = parseId('snapshot', name);
  if (!id || !/^\d{1,15}$/.test(time)) throw new AppError('invalid', 'before must be a next_cursor');
  return { createdAt: new Date(Number(time)), id };
}
