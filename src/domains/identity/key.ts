import type { AccountId, KeyId } from '../../kernel/ids.ts';
import { newId, secretBytes, type Op, type Scope } from '../../kernel/op.ts';
import { sha256 } from '../../platform/crypto.ts';
import type { KeyRow } from './store.ts';

/** How a key is written: our own way, and the way that clients of the E2B API insist on. Both open the same things. */
const FORMATS = {
  freehold: { mark: 'bod_live_', bytes: 16 },
  e2b: { mark: 'e2b_', bytes: 20 },
} as const;
const SHOWN_DIGITS = 8;
const KEY_PATTERN = /^(bod_live_[0-9a-f]{32}|e2b_[0-9a-f]{40})$/;

export type KeyFormat = keyof typeof FORMATS;
export const KEY_FORMATS = ['freehold', 'e2b'] as const satisfies readonly KeyFormat[];

export const MAX_ACTIVE_KEYS = 5;
export const MAX_KEY_NAME_LENGTH = 128;
export const SCOPES = ['read', 'write', 'exec', 'compute'] as const satisfies readonly Scope[];

/** A key as its account may see it again: everything but the secret. */
export type Key = {
  id: KeyId;
  accountId: AccountId;
  name: string;
  prefix: string;
  /** Null: everything its account may do. */
  scopes: Scope[] | null;
  createdAt: Date;
  lastUsedAt: Date | undefined;
};

/** What a new key is to be. No scopes: everything its account may do. */
export type KeyWish = { name: string; scopes: readonly Scope[] | null; format?: KeyFormat | undefined };

/** A key at its making, the only time that its secret is known. */
export type MintedKey = Key & { secret: string };

export const isKeySecret = (text: string): boolean => KEY_PATTERN.test(text);
export const hashOf = (secret: string): Buffer => sha256(secret);

/** A new key and its row. No scopes means no restriction. */
export function makeKey(op: Op, accountId: AccountId, wish: KeyWish): { row: KeyRow; secret: string } {
  const format = wish.format ?? 'freehold';
  const secret = secretOf(op, format);
  const row: KeyRow = {
    id: newId(op, 'key'),
    account_id: accountId,
    name: wish.name,
    prefix: secret.slice(0, FORMATS[format].mark.length + SHOWN_DIGITS),
    hash: hashOf(secret),
    scopes: wish.scopes && wish.scopes.length > 0 ? [...new Set(wish.scopes)] : null,
    created_at: op.now,
    last_used_at: null,
    revoked_at: null,
  };
  return { row, secret };
}

/** The secret that `op` makes: the same one again under its idempotency seed. */
export function secretOf(op: Op, format: KeyFormat): string {
  const { mark, bytes } = FORMATS[format];
  return mark + secretBytes(op, 'key').subarray(0, bytes).toString('hex');
}

export const keyOf = (row: KeyRow): Key => ({
  id: row.id,
  accountId: row.account_id,
  name: row.name,
  prefix: row.prefix,
  scopes: row.scopes,
  createdAt: row.created_at,
  lastUsedAt: row.last_used_at ?? undefined,
});
