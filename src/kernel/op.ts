import { createHmac, randomBytes } from 'node:crypto';
import { idOf, uuidFrom, uuidv7, type AccountId, type Id, type KeyId, type Kind, type LoginId } from './ids.ts';

/** What a key may do. A key without scopes may do everything its account may. */
export type Scope = 'read' | 'write' | 'exec' | 'compute';

/** An account, with one of its keys or in one of its logins. */
export type AccountActor = {
  kind: 'account';
  accountId: AccountId;
  keyId?: KeyId;
  loginId?: LoginId;
  scopes: readonly Scope[] | null;
  /** The operator has suspended it: it may look, and do nothing. */
  isHeld?: true;
};

export type Actor = AccountActor | { kind: 'admin' } | { kind: 'system'; name: string } | { kind: 'anonymous' };

/**
 * The first argument of every verb: who acts, under which request, at what time, and for how long it is still wanted.
 */
export type Op<A extends Actor = Actor> = {
  readonly actor: A;
  readonly requestId: string;
  readonly now: Date;
  readonly signal: AbortSignal;
  /** Network address of the caller, where there is one. */
  readonly address?: string;
  /**
   * Set where the caller named the request (`Idempotency-Key`). Ids made under it are derived from it, so that
   * carrying the request out once more makes the same rows and has no second effect.
   */
  readonly seed?: Buffer;
};

export type AccountOp = Op<AccountActor>;

/**
 * A new id. `label` tells apart the ids made in one request; under an idempotency seed the same label gives the same
 * id again.
 */
export function newId<K extends Kind>(op: Op, kind: K, label: string = kind): Id<K> {
  return idOf(kind, op.seed ? uuidFrom(secretBytes(op, `id:${label}`)) : uuidv7(op.now));
}

/** 32 bytes nobody can guess; the same ones again where the request is carried out again under its seed. */
export function secretBytes(op: Op, label: string): Buffer {
  return op.seed ? createHmac('sha256', op.seed).update(label).digest() : randomBytes(32);
}
