import type { AccountId, KeyId, NodeId } from '../../kernel/ids.ts';
import { newId, secretBytes, type Op, type Scope } from '../../kernel/op.ts';
import { sha256 } from '../../platform/crypto.ts';
import type { KeyRow } from './store.ts';

/**
 * How a key is written: our own way, the way that clients of the E2B API insist on, and, with the node's name after the
 * mark, that of the grid. All open the same things.
 */
const FORMATS = {
  freehold: { mark: 'bod_live_', bytes: 16 },
  e2b: { mark: 'e2b_', bytes: 20 },
  node: { mark: 'bn_', bytes: 16 },
} as const;
const SHOWN_DIGITS = 8;
const KEY_PATTERN = /^(bod_live_[0-9a-f]{32}|e2b_[0-9a-f]{40}|bn_[A-Za-z0-9_-]{3,100}_[A-Za-z0-9]{16,128})$/;

/** The ways that a caller may ask for. */
export const KEY_FORMATS = ['freehold', 'e2b'] as const satisfies readonly (keyof typeof FORMATS)[];
export type KeyFormat = (typeof KEY_FORMATS)[number];

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

/** What a new key is to be. No scopes: everything its account may do. A node's key bears its name. */
export type KeyWish = {
  name: string;
  scopes: readonly Scope[] | null;
  format?: KeyFormat | undefined;
  nodeId?: NodeId | undefined;
};

/** A key at its making, the only time that its secret is known. */
export type MintedKey = Key & { secret: string };

export const isKeySecret = (text: string): boolean => KEY_PATTERN.test(text);
export const hashOf = (secret: string): Buffer => sha256(secret);

/** A new key and its row. No scopes means no restriction. */
export function makeKey(op: Op, accountId: AccountId, wish: KeyWish): { row: KeyRow; secret: string } {
  const secret = secretOf(op, wish);
  return { row: rowOf(op, accountId, wish, secret), secret };
}

/** What is kept of a key. */
export function rowOf(op: Op, accountId: AccountId, wish: KeyWish, secret: string): KeyRow {
  return {
    id: newId(op, 'key'),
    account_id: accountId,
    name: wish.name,
    prefix: secret.slice(0, markOf(wish).length + SHOWN_DIGITS),
    hash: hashOf(secret),
    scopes: wish.scopes && wish.scopes.length > 0 ? [...new Set(wish.scopes)] : null,
    created_at: op.now,
    last_used_at: null,
    revoked_at: null,
  };
}

type Written = Pick<KeyWish, 'format' | 'nodeId'>;

/** The secret that `op` makes: the same one again under its idempotency seed. */
export function secretOf(op: Op, written: Written): string {
  const { bytes } = FORMATS[formatOf(written)];
  return markOf(written) + secretBytes(op, 'key').subarray(0, bytes).toString('hex');
}

const formatOf = ({ format, nodeId }: Written) => (nodeId === undefined ? (format ?? 'freehold') : 'node');

const markOf = (written: Written): string =>
  FORMATS[formatOf(written)].mark + (written.nodeId === undefined ? '' : `${written.nodeId}_`);

export const keyOf = (row: KeyRow): Key => ({
  id: row.id,
  accountId: row.account_id,
  name: row.name,
  prefix: row.prefix,
  scopes: row.scopes,
  createdAt: row.created_at,
  lastUsedAt: row.last_used_at ?? undefined,
});
