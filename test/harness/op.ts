import type { AccountId, KeyId } from '../../src/kernel/ids.ts';
import { uuidv7 } from '../../src/kernel/ids.ts';
import type { AccountOp, Op, Scope } from '../../src/kernel/op.ts';

/** An op of the platform itself. */
export const systemOp = (now = new Date()): Op => ({
  actor: { kind: 'system', name: 'test' },
  requestId: 'test',
  now,
  signal: new AbortController().signal,
});

/** An op of an account, as a request with one of its keys makes it. */
export const accountOp = (accountId: AccountId, options: { now?: Date; scopes?: Scope[] | null } = {}): AccountOp => ({
  ...systemOp(options.now),
  actor: { kind: 'account', accountId, keyId: uuidv7(new Date()) as KeyId, scopes: options.scopes ?? null },
});
