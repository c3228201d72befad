import { z } from 'zod';
import type { Scope } from '../../kernel/op.ts';

/** Schemas and scopes that several resources of this contract share. */
export const Uuid = z.uuid().meta({ examples: ['550e8400-e29b-41d4-a716-446655440000'] });
export const Timestamp = z.iso.datetime({ precision: 3 }).meta({ examples: ['2026-03-13T12:00:00.000Z'] });
export const Cents = z.int();

/** An id in the path stays a string here: one that cannot exist is "not found" and not "malformed". */
export const IdParams = z.object({ id: z.string() });

/** `?limit=` from 1 to `max`, in digits. */
export const limitQuery = ({ max, fallback }: { max: number; fallback: number }) =>
  z.object({
    limit: z
      .string()
      .regex(/^\d{1,9}$/, { error: `must be an integer from 1 to ${max}` })
      .transform(Number)
      .pipe(z.int().min(1).max(max))
      .default(fallback),
  });

/** Clause 1.1: GET asks for `read`; who may change things may look at them too. */
export const READ: readonly Scope[] = ['read', 'write'];
export const WRITE: readonly Scope[] = ['write'];
