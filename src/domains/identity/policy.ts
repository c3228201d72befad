import { AppError } from '../../kernel/errors.ts';
import type { AccountOp, Scope } from '../../kernel/op.ts';
import { MAX_ACTIVE_KEYS, SCOPES } from './key.ts';

/** A key gives away no more than it has itself. Throws `forbidden`. */
export function mayMint(actor: AccountOp['actor'], wanted: readonly Scope[] | null): void {
  const { scopes: own } = actor;
  if (own === null) return;
  const asked = wanted === null || wanted.length === 0 ? SCOPES : wanted;
  const missing = asked.find((scope) => !own.includes(scope));
  if (missing) throw new AppError('forbidden', `Insufficient permissions: requires '${missing}' scope`);
  if (asked === SCOPES)
    throw new AppError('forbidden', 'Insufficient permissions: a scoped key cannot mint an unscoped one');
}

/** Who claims an account may do everything with it, so only a key that may do everything can give that away. */
export function mayLinkClaim(actor: AccountOp['actor']): void {
  if (actor.scopes !== null) throw new AppError('forbidden', 'Insufficient permissions: requires a key without scopes');
}

export function mayHaveOneMoreKey(activeKeys: number): void {
  if (activeKeys >= MAX_ACTIVE_KEYS)
    throw new AppError('conflict', `An account may have ${MAX_ACTIVE_KEYS} active API keys`);
}
