import { z } from 'zod';
import { LABEL_PATTERN, MAX_BULK, MAX_LABEL_LENGTH, PLAN_IDS, REGION_IDS } from '../../domains/compute/index.ts';
import { parsePublicKey } from '../../domains/machines/index.ts';
import { isAppError } from '../../kernel/errors.ts';
import type { Scope } from '../../kernel/op.ts';

/** Schemas and scopes that several resources of this contract share. */
export const Uuid = z.uuid().meta({ examples: ['550e8400-e29b-41d4-a716-446655440000'] });
export const Timestamp = z.iso.datetime({ precision: 3 }).meta({ examples: ['2026-03-13T12:00:00.000Z'] });
export const Decimal = z
  .string()
  .regex(/^-?\d+(\.\d+)?$/)
  .meta({ description: 'US dollars, as decimal text.', examples: ['10.00'] });

/** An id in the path stays a string here: one that cannot exist is "not found" and not "malformed". */
export const IdParams = z.object({ id: z.string() });
export const Accepted = z.object({ ok: z.literal(true) });

/** A key of an account opens this contract too. Who may look at everything, or rent computers, may look at servers. */
export const LOOK: readonly Scope[] = ['read', 'compute'];
export const RENT: readonly Scope[] = ['compute'];

const MAX_KEY_LENGTH = 16_384;
const EXAMPLE_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS me@home';

/** Refused with the reason, before anything is made. */
export const SshKey = z
  .string()
  .max(MAX_KEY_LENGTH)
  .superRefine((key, context) => {
    try {
      parsePublicKey(key, 'sshKey');
    } catch (error) {
      if (!isAppError(error, 'invalid')) throw error;
      context.addIssue({ code: 'custom', message: error.message });
    }
  })
  .meta({
    description: 'A public key of OpenSSH, in one line: Ed25519, ECDSA, or RSA from 2048 bits; without options.',
    examples: [EXAMPLE_KEY],
  });

export const Label = z
  .string()
  .min(1)
  .max(MAX_LABEL_LENGTH)
  .regex(LABEL_PATTERN, { error: 'must match ^[a-zA-Z0-9._-]+$' })
  .meta({ examples: ['my-bot'] });

export const Deployment = z.object({
  label: Label,
  planId: z.enum(PLAN_IDS),
  regionId: z.enum(REGION_IDS),
  sshKey: SshKey.optional(),
});
export const BulkDeployment = Deployment.extend({
  count: z
    .int()
    .min(1)
    .max(MAX_BULK)
    .meta({ examples: [2] }),
});

const Ssh = z.object({
  host: z.string().meta({ examples: ['203.0.113.10'] }),
  port: z.int().meta({ examples: [22] }),
  user: z.literal('root'),
  fingerprint: z.string().meta({
    description: 'Of the server’s host key, as `ssh-keygen -l` shows it.',
    examples: ['SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU'],
  }),
  knownHosts: z.string().meta({
    description: 'A line for the client’s known_hosts: then StrictHostKeyChecking=yes works at the first connection.',
  }),
});

export const ServerShown = z.object({
  id: Uuid,
  label: z.string(),
  status: z.enum(['PROVISIONING', 'ACTIVE', 'ERROR', 'SUSPENDED', 'DESTROYING', 'DESTROYED']),
  region: z.enum(REGION_IDS),
  plan: z.enum(PLAN_IDS),
  ipv4: z.string().nullable().meta({ description: 'Null until it is ACTIVE. SSH is at `ssh.host` and `ssh.port`.' }),
  hourlyPrice: Decimal.meta({ examples: ['0.0137'] }),
  createdAt: Timestamp,
  power: z.enum(['on', 'off']).meta({ description: 'Whether its owner has it on. It is paid for either way.' }),
  ssh: Ssh.nullable().meta({ description: 'How to get in; null before it is ACTIVE.' }),
  paidUntil: Timestamp.nullable(),
  suspendedAt: Timestamp.nullable(),
  error: z.string().nullable().meta({ description: 'Why its status is ERROR.' }),
});

/** A server as its deployment answers it. */
export const DeployedShown = ServerShown.extend({
  rootPassword: z.string().optional().meta({
    description: 'Root’s password where no sshKey was given. Shown only this once.',
  }),
});
