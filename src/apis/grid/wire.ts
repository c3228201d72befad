import { z } from 'zod';
import { MAX_NODE_ID_LENGTH, MIN_NODE_ID_LENGTH, nearestTck, NODE_ID_PATTERN } from '../../domains/grid/index.ts';
import type { NodeId } from '../../kernel/ids.ts';
import type { Tck } from '../../kernel/money.ts';
import { MINUTE } from '../../kernel/time.ts';

/** Requests of one address for what is made of many rows. */
export const LOOK_LIMIT = { name: 'grid-look', max: 600, windowMs: MINUTE };

/** Schemas that several resources of this contract share. */

/** ISO 8601 in UTC without saying so, with microseconds. */
export const Timestamp = z.string().meta({ examples: ['2026-03-18T12:00:00.000000'] });
export const Uuid = z.uuid().meta({ examples: ['550e8400-e29b-41d4-a716-446655440000'] });
/** An amount that is shown as text. */
export const Amount = z.string().meta({ description: 'TCK, a decimal number.', examples: ['0.50'] });

export const NodeName = z
  .string()
  .min(MIN_NODE_ID_LENGTH)
  .max(MAX_NODE_ID_LENGTH)
  .regex(NODE_ID_PATTERN, { error: 'must be letters, digits, hyphens and underscores' })
  .transform((text) => text as NodeId)
  .meta({ examples: ['my-agent-01'] });

const NUMBER = /^\d{1,12}(\.\d{1,12})?$/;

/** An amount that a client gives as a number, or as the text of one, to the nearest ten-thousandth. */
export const givenAmount = ({ max, least }: { max: number; least?: number }) =>
  z
    .union([
      z.number().meta({ examples: [least ?? 1] }),
      z.string().regex(NUMBER, { error: 'must be a decimal number' }).transform(Number),
    ])
    .pipe(
      z
        .number()
        .min(least ?? 0)
        .max(max),
    )
    .transform((amount, context): Tck => {
      const units = nearestTck(amount);
      if (units > 0n) return units;
      context.issues.push({ code: 'custom', message: 'must be at least 0.0001', input: amount });
      return z.NEVER;
    });

/** An amount in a query that others are compared with: nothing is one too. */
export const boundAmount = z
  .string()
  .regex(NUMBER, { error: 'must be a decimal number' })
  .transform((text) => nearestTck(Number(text)));

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

/** How far a list can be paged. */
const MAX_OFFSET = 1_000_000;
export const offset = wholeNumber({ min: 0, max: MAX_OFFSET }).default(0);
