import { z } from 'zod';
import {
  INSTANCE_BOUNDS,
  INSTANCE_NAME_PATTERN,
  MAX_INSTANCE_NAME_LENGTH,
  SLUG_PATTERN,
} from '../../domains/compute/index.ts';
import { parsePublicKey } from '../../domains/machines/index.ts';
import { isAppError } from '../../kernel/errors.ts';
import type { Scope } from '../../kernel/op.ts';
import { Cents, Timestamp } from './wire.ts';

/** Schemas of clause 1.5, and of what we have beyond it. */
export const COMPUTE = 'Compute';
/** Clause 1.1: who may rent computers may look at them. */
export const LOOK: readonly Scope[] = ['read', 'write', 'compute'];
export const RENT: readonly Scope[] = ['compute'];

const MAX_KEY_LENGTH = 16_384;
const EXAMPLE_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS me@home';
const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';
const FINGERPRINT = 'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU';

/** Refused with the reason, before anything is made. */
const PublicKey = z
  .string()
  .max(MAX_KEY_LENGTH)
  .superRefine((key, context) => {
    try {
      parsePublicKey(key, 'ssh_public_key');
    } catch (error) {
      if (!isAppError(error, 'invalid')) throw error;
      context.addIssue({ code: 'custom', message: error.message });
    }
  })
  .meta({
    description: 'ssh-ed25519, ecdsa-sha2-… or ssh-rsa from 2048 bits, in one line, without options.',
    examples: [EXAMPLE_KEY],
  });

const bounded = ({ least, most }: { least: number; most: number }, fallback: number) =>
  z
    .int()
    .min(least)
    .max(most)
    .default(fallback)
    .meta({ examples: [fallback] });

export const InstanceBody = z.object({
  name: z
    .string()
    .min(1)
    .max(MAX_INSTANCE_NAME_LENGTH)
    .regex(INSTANCE_NAME_PATTERN, { error: 'must be letters, digits, hyphens, underscores and spaces' })
    .meta({ examples: ['my-server'] }),
  ssh_public_key: PublicKey,
  vcpu: bounded(INSTANCE_BOUNDS.vcpus, 1),
  memory_mb: bounded(INSTANCE_BOUNDS.memoryMb, 1_024),
  disk_gb: bounded(INSTANCE_BOUNDS.diskGb, 10),
  slug: z
    .string()
    .regex(SLUG_PATTERN, {
      error: 'must be 3 to 64 lower-case letters, digits and hyphens, with no hyphen at its ends',
    })
    .optional()
    .meta({
      description: 'One instance of all has a slug. `vm-SLUG` below the domain of apps leads to its port 80.',
      examples: ['my-site'],
    }),
});
export const KeyBody = z.object({ ssh_public_key: PublicKey });

const SshShort = z.object({
  host: z.string().meta({ examples: ['freehold.example.com'] }),
  port: z.int().meta({ examples: [20_000] }),
  user: z.literal('agent'),
});
const SshShown = SshShort.extend({
  fingerprint: z.string().meta({ description: 'Of your key, as `ssh-keygen -l` shows it.', examples: [FINGERPRINT] }),
  command: z.string().meta({ examples: ['ssh -p 20000 agent@freehold.example.com'] }),
  host_fingerprint: z.string().meta({ description: 'Of the instance’s host key.', examples: [FINGERPRINT] }),
  known_hosts: z.string().meta({
    description: 'A line for the client’s file of that name: then StrictHostKeyChecking=yes works at once.',
    examples: [`[freehold.example.com]:20000 ${HOST_KEY}`],
  }),
});

const InstanceFields = z.object({
  id: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .meta({ examples: ['a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6'] }),
  name: z.string(),
  slug: z.string().nullable(),
  status: z.enum(['provisioning', 'running', 'stopped', 'suspended', 'error']),
  vcpu: z.number(),
  memory_mb: z.int(),
  disk_gb: z.number(),
  monthly_price_cents: Cents,
});
const Times = z.object({
  subdomain: z.string().nullable(),
  created_at: Timestamp,
  next_billing_at: Timestamp.nullable(),
});

export const InstanceListed = InstanceFields.extend({ ssh: SshShort.nullable() }).extend(Times.shape);
export const InstanceShown = InstanceFields.extend({ ssh: SshShown.nullable() }).extend(Times.shape);
export const InstanceDetails = InstanceShown.extend({ suspended_at: Timestamp.nullable() });
