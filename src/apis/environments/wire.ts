import { z } from 'zod';
import type { Scope } from '../../kernel/op.ts';

/** Schemas and scopes that several resources of this contract share. */
export const Uuid = z.uuid().meta({ examples: ['550e8400-e29b-41d4-a716-446655440000'] });
export const Timestamp = z.iso.datetime({ precision: 3 }).meta({ examples: ['2026-03-13T12:00:00.000Z'] });
export const Cents = z.int();

const MAX_DIGITS = 9;

/** A whole number in a query, in digits. */
export const wholeNumber = ({ min, max }: { min: number; max: number }) =>
  z
    .string()
    .transform((text, context) => {
      if (/^\d+$/.test(text) && text.length <= MAX_DIGITS) return Number(text);
      context.issues.push({ code: 'invalid_type', expected: 'int', input: text });
      return z.NEVER;
    })
    .pipe(z.int().min(min).max(max));

export const MAX_PAGE = 1_000_000;

/** Looking asks for `read`; who may change things may look at them too. */
export const READ: readonly Scope[] = ['read', 'write'];
export const WRITE: readonly Scope[] = ['write'];
