import { z } from 'zod';
import { MAX_TIMEOUT_MS } from '../../domains/sandboxes/index.ts';
import { SECOND } from '../../kernel/time.ts';
import type { Scope } from '../../kernel/op.ts';
import { Timestamp, Uuid } from './wire.ts';

/** Schemas of clause 1.8, and of what we have beyond it. */
export const SANDBOXES = 'Sandboxes';
/** Clause 1.1: what happens inside a sandbox asks for `exec`; who may do that may look as well. */
export const EXEC: readonly Scope[] = ['exec'];
export const LOOK: readonly Scope[] = ['read', 'write', 'exec'];

export const EXTENSION = 'An extension of this server.';
const MAX_TIMEOUT_SECONDS = MAX_TIMEOUT_MS / SECOND;
const MAX_NAME_LENGTH = 128;
const MAX_TEMPLATE_LENGTH = 200;
export const MAX_PATH_LENGTH = 4_096;
const MAX_VALUE_LENGTH = 32_768;
const MAX_KEY_LENGTH = 256;
const MAX_USER_LENGTH = 32;
const MAX_REGION_LENGTH = 64;

export const Name = z.string().min(1).max(MAX_NAME_LENGTH);
export const Path = z
  .string()
  .min(1)
  .max(MAX_PATH_LENGTH)
  .meta({ description: 'From the home directory where it is relative.', examples: ['/home/user/app.py'] });
export const User = z
  .string()
  .min(1)
  .max(MAX_USER_LENGTH)
  .optional()
  .meta({ description: 'A user of the sandbox; `user` where left out.', examples: ['root'] });
export const Env = z
  .record(z.string().max(MAX_KEY_LENGTH), z.string().max(MAX_VALUE_LENGTH))
  .meta({ examples: [{ STAGE: 'test' }] });
export const TimeoutSeconds = z.int().min(0).max(MAX_TIMEOUT_SECONDS);

export const NewSandboxBody = z.object({
  name: Name.optional().meta({ examples: ['scraper'] }),
  vcpu: z
    .int()
    .min(1)
    .max(4)
    .optional()
    .meta({ description: 'Default 1.', examples: [1] }),
  memory_mb: z
    .int()
    .min(512)
    .max(8_192)
    .optional()
    .meta({ description: 'Default 512.', examples: [512] }),
  disk_gb: z
    .int()
    .min(1)
    .max(50)
    .optional()
    .meta({ description: 'Default 1.', examples: [1] }),
  region: z
    .string()
    .max(MAX_REGION_LENGTH)
    .optional()
    .meta({ description: 'This server is one region, whatever is asked for.', examples: ['local'] }),
  template: z
    .string()
    .min(1)
    .max(MAX_TEMPLATE_LENGTH)
    .optional()
    .meta({ description: `\`base\`, an image, or a snapshot by its id or name. ${EXTENSION}`, examples: ['base'] }),
  timeout_seconds: TimeoutSeconds.min(1)
    .optional()
    .meta({
      description: `Lives until it is deleted or cannot be paid where left out. ${EXTENSION}`,
      examples: [3600],
    }),
  on_timeout: z
    .enum(['kill', 'pause'])
    .optional()
    .meta({ description: `What becomes of it at its timeout, or when its money is gone. ${EXTENSION}` }),
  auto_resume: z
    .boolean()
    .optional()
    .meta({ description: `Whether a request wakes it after it was paused by its timeout. ${EXTENSION}` }),
  metadata: z
    .record(z.string().max(MAX_KEY_LENGTH), z.string().max(MAX_VALUE_LENGTH))
    .optional()
    .meta({ description: EXTENSION, examples: [{ project: 'hn' }] }),
  env: Env.optional().meta({ description: `Given to every command. ${EXTENSION}`, examples: [{ STAGE: 'test' }] }),
});

export const SandboxShown = z.object({
  id: Uuid,
  short_id: z.string().meta({ examples: ['sbx-k3v9w0q2m5x8c1r7t4yz'] }),
  name: z.string(),
  status: z.enum(['running', 'paused']),
  terminal_url: z.string().meta({ description: 'A WebSocket; see GET /v1/sandboxes/:id/terminal.' }),
  vcpu: z.number(),
  memory_mb: z.int(),
  disk_gb: z.number(),
  region: z.string(),
  template: z.string(),
  metadata: z.record(z.string(), z.string()),
  price_per_hour_cents: z.int(),
  on_timeout: z.enum(['kill', 'pause']),
  auto_resume: z.boolean(),
  created_at: Timestamp,
  ends_at: Timestamp.nullable(),
});

export const Done = z.object({ success: z.literal(true), message: z.string() });

/** `?name=value` that is a whole number, in digits. */
export const digits = (most: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, { error: `must be an integer from 0 to ${most}` })
    .transform(Number)
    .pipe(z.int().max(most));

export const flag = z.enum(['true', 'false']).transform((text) => text === 'true');
