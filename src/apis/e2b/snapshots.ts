import { z } from 'zod';
import type { Machines, Snapshot } from '../../domains/machines/index.ts';
import type { Sandboxes } from '../../domains/sandboxes/index.ts';
import { isAppError } from '../../kernel/errors.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { created, route, type Route } from '../contract.ts';
import { readSnapshotCursor, writeSnapshotCursor } from './cursor.ts';
import { bareName, fullName } from './templates.ts';
import { pageQuery, READ, SandboxParams, WRITE } from './wire.ts';

const MAX_NAME = 256;
const SnapshotInfo = z.object({
  snapshotID: z.string().meta({ examples: ['snp_0199a1c27e0b7d0f8a4e5b6c7d8e9f00'] }),
  names: z.array(z.string()),
});

const presentSnapshot = (snapshot: Snapshot): z.input<typeof SnapshotInfo> => ({
  snapshotID: snapshot.id,
  names: fullName(snapshot),
});

export type SnapshotDomains = {
  machines: Pick<Machines, 'listSnapshots'>;
  sandboxes: Pick<Sandboxes, 'get' | 'snapshot'>;
};

export const snapshotRoutes = ({ machines, sandboxes }: SnapshotDomains): Route[] => [
  route({
    method: 'POST',
    path: '/e2b/api/sandboxes/:sandboxID/snapshots',
    tag: 'E2B snapshots',
    summary: 'Take a snapshot of a sandbox’s disk',
    description: 'It outlives the sandbox; new sandboxes are made of it with its id, or its name, as `templateID`.',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    params: SandboxParams,
    body: z.object({ name: z.string().min(1).max(MAX_NAME).optional() }),
    replies: { 201: { description: 'The snapshot', schema: SnapshotInfo } },
    fails: ['conflict', 'at_capacity'],
    handle: async (op, { params, body }) => {
      const name = body.name === undefined ? undefined : bareName(op, body.name);
      return created(presentSnapshot(await sandboxes.snapshot(op, params.sandboxID, { name })));
    },
  }),
  route({
    method: 'GET',
    path: '/e2b/api/snapshots',
    tag: 'E2B snapshots',
    summary: 'List snapshots',
    description: 'Newest first. Where there is more, `x-next-token` of the reply is the `nextToken` of the next page.',
    access: 'account',
    scopes: READ,
    query: z.object({
      ...pageQuery,
      sandboxID: z.string().max(MAX_NAME).optional(),
      name: z.string().max(MAX_NAME).optional(),
    }),
    replies: { 200: { description: 'Snapshots', schema: z.array(SnapshotInfo) } },
    handle: async (op, { query }) => {
      const machineId = query.sandboxID && (await machineOf(sandboxes, op, query.sandboxID));
      if (machineId === null) return { status: 200, body: [] };
      const { rows, next } = await machines.listSnapshots(op, {
        limit: query.limit,
        after: readSnapshotCursor(query.nextToken),
        ...(query.name && { name: bareName(op, query.name) }),
        ...(machineId && { machineId }),
      });
      return {
        status: 200,
        body: rows.map(presentSnapshot),
        ...(next !== undefined && { headers: { 'x-next-token': writeSnapshotCursor(next) } }),
      };
    },
  }),
];

/** Null where there is no such sandbox, whose list of snapshots is then empty. */
const machineOf = (sandboxes: SnapshotDomains['sandboxes'], op: AccountOp, reference: string) =>
  sandboxes.get(op, reference).then(
    ({ machineId }) => machineId,
    (error: unknown) => {
      if (isAppError(error, 'not_found')) return null;
      throw error;
    },
  );
