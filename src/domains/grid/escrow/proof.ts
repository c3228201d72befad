import { createHash } from 'node:crypto';

/**
 * The hash by which a seller says what it delivered: SHA-256 of the NFC form of compact JSON whose keys are sorted at
 * every depth. Keys are sorted by code point, as the clients in Python do.
 */
export const proofHash = (value: unknown): string =>
  createHash('sha256').update(canonical(value).normalize('NFC')).digest('hex');

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  const fields = Object.entries(value)
    .toSorted(([a], [b]) => byCodePoint(a, b))
    .map(([key, child]) => `${JSON.stringify(key)}:${canonical(child)}`);
  return `{${fields.join(',')}}`;
}

/** UTF-16 order, which `<` uses, puts U+E000 to U+FFFF after the characters beyond them; UTF-8 order is by code point. */
const byCodePoint = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
