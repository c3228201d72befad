import { z } from 'zod';
import { BACKUP_KEPT_MS, MAX_BACKUPS, PLAN_IDS, REGION_IDS, type Compute } from '../../domains/compute/index.ts';
import { DAY } from '../../kernel/time.ts';
import { accepted, ok, route, type Route } from '../contract.ts';
import { presentBackup, presentDeployed } from './present.ts';
import { Accepted, DeployedShown, IdParams, Label, LOOK, RENT, SshKey, Timestamp, Uuid } from './wire.ts';

const TAG = 'Backups';

export const BackupShown = z.object({
  id: Uuid,
  label: z.string().meta({ description: 'Of the server, when it was backed up.', examples: ['my-bot'] }),
  status: z.enum(['PENDING', 'AVAILABLE', 'ERROR', 'EXPIRED']),
  region: z.enum(REGION_IDS),
  plan: z.enum(PLAN_IDS),
  createdAt: Timestamp,
  expiresAt: Timestamp,
  serverId: Uuid.meta({ description: 'The server may be gone.' }),
  scheduled: z.boolean().meta({ description: 'Whether the server’s schedule had it made.' }),
  sizeBytes: z.int().nullable().meta({ description: 'What is kept; null until it is AVAILABLE.' }),
  error: z
    .string()
    .nullable()
    .meta({ description: 'Why its status is ERROR, or what it waits for while it is PENDING.' }),
});
const Wish = z.object({ serverId: Uuid });
const Restoration = z.object({
  label: Label.optional().meta({ description: 'By default that of the backup.' }),
  sshKey: SshKey.optional(),
});

export const backupRoutes = ({ compute }: { compute: Compute }): Route[] => [
  route({
    method: 'GET',
    path: '/backups',
    tag: TAG,
    summary: 'List backups, newest first',
    description: 'One that has expired, or was deleted, is shown for a day more.',
    access: 'account',
    scopes: LOOK,
    replies: { 200: { description: 'The backups', schema: z.object({ backups: z.array(BackupShown) }) } },
    handle: async (op) => ok({ backups: (await compute.backups(op)).map(presentBackup) }),
  }),
  route({
    method: 'POST',
    path: '/backups',
    tag: TAG,
    summary: 'Back up a server',
    description: `All of its disk at one moment, with everything in it that has been written; the server stands still for that moment and goes on while the copy is kept. It is accepted, and AVAILABLE later. It is kept for ${BACKUP_KEPT_MS / DAY} days, also when its server is gone. The server must be ACTIVE. One backup of a server is made at a time, and an account may have ${MAX_BACKUPS}.`,
    access: 'account',
    scopes: RENT,
    idempotent: true,
    body: Wish,
    fails: ['conflict'],
    replies: { 202: { description: 'It is being made', schema: z.object({ backup: BackupShown }) } },
    handle: async (op, { body }) => accepted({ backup: presentBackup(await compute.backUp(op, body.serverId)) }),
  }),
  route({
    method: 'POST',
    path: '/backups/:id/restore',
    tag: TAG,
    summary: 'Restore a backup onto a new server',
    description:
      'With the same plan, in the same region, at an address and with host keys of its own. It is deployed like any other: ask for it until it is ACTIVE or ERROR. With `sshKey` root comes in by that key, else by the `rootPassword` of the reply; keys that stand in root’s own `authorized_keys` go on working.',
    access: 'account',
    scopes: RENT,
    idempotent: true,
    params: IdParams,
    body: Restoration.default({}),
    fails: ['unaffordable', 'conflict', 'at_capacity'],
    replies: { 202: { description: 'The new server is being made', schema: z.object({ server: DeployedShown }) } },
    handle: async (op, { params, body: { label, sshKey } }) =>
      accepted({ server: presentDeployed(await compute.restore(op, params.id, { name: label, sshKey })) }),
  }),
  route({
    method: 'DELETE',
    path: '/backups/:id',
    tag: TAG,
    summary: 'Delete a backup before it expires',
    access: 'account',
    scopes: RENT,
    params: IdParams,
    fails: ['conflict'],
    replies: { 202: { description: 'It is EXPIRED', schema: Accepted } },
    handle: async (op, { params }) => {
      await compute.deleteBackup(op, params.id);
      return accepted({ ok: true });
    },
  }),
];
