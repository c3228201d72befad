import { AppError } from '../../kernel/errors.ts';
import type { AccountId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { Machine } from './machine.ts';

/** Whose machine or snapshot it is, may use it; so may the platform itself and its operator. */
export const mayUse = (op: Op, thing: { accountId: AccountId }): boolean =>
  op.actor.kind === 'system' ||
  op.actor.kind === 'admin' ||
  (op.actor.kind === 'account' && op.actor.accountId === thing.accountId);

/** A machine of someone else does not exist for the caller. */
export function visibleTo(op: Op, machine: Machine | undefined): Machine {
  if (!machine || !mayUse(op, machine)) throw new AppError('not_found', 'Machine not found');
  return machine;
}
