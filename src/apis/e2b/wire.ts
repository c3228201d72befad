import { z } from 'zod';
import { DAY, SECOND } from '../../kernel/time.ts';
import type { Scope } from '../../kernel/op.ts';

/** Schemas and scopes that several resources of this contract share. */
export const READ: readonly Scope[] = ['read', 'write'];
export const WRITE: readonly Scope[] = ['write'];

export const Timestamp = z.iso.datetime({ precision: 3 }).meta({ examples: ['2026-03-13T12:00:00.000Z'] });
export const SandboxParams = z.object({ sandboxID: z.string() });

const MAX_TIMEOUT_SECONDS = (30 * DAY) / SECOND;
/** Whole seconds from now. */
export const Timeout = z
  .int()
  .min(0)
  .max(MAX_TIMEOUT_SECONDS)
  .meta({ examples: [300] });
export const DEFAULT_TIMEOUT_SECONDS = 300;
/** What older routes take where no time is given. */
export const OLD_TIMEOUT_SECONDS = 15;

const MAX_PAIRS = 100;
const MAX_NAME = 256;
const MAX_VALUE = 16_384;
export const Pairs = z
  .record(z.string().min(1).max(MAX_NAME), z.string().max(MAX_VALUE))
  .refine((pairs) => Object.keys(pairs).length <= MAX_PAIRS, { error: `must have at most ${MAX_PAIRS} entries` });

const MAX_TEMPLATE = 256;
export const TemplateName = z
  .string()
  .min(1)
  .max(MAX_TEMPLATE)
  .meta({ examples: ['base'] });

const MAX_TOKEN = 1_000;
const MAX_PAGE = 100;
/** `?limit=` and `?nextToken=` of lists. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^\d{1,9}$/, { error: `must be an integer from 1 to ${MAX_PAGE}` })
    .transform(Number)
    .pipe(z.int().min(1).max(MAX_PAGE))
    .default(MAX_PAGE),
  nextToken: z.string().max(MAX_TOKEN).optional(),
};

/** Replies that have no body. */
export const Nothing = z.undefined();
