import { AppError, isAppError } from '../../kernel/errors.ts';
import { parseId, type AccountId, type TransferId } from '../../kernel/ids.ts';
import { usd, type Currency, type Money, type Usd } from '../../kernel/money.ts';
import { newId, type AccountOp, type Op } from '../../kernel/op.ts';
import { mint, wallet } from './account.ts';
import type { Transfer } from './command.ts';
import type { Ledger } from './index.ts';

/** Money that comes in from outside. */
export type Deposit = Omit<Transfer, 'legs' | 'type'> & { accountId: AccountId; amount: Usd };

export const depositOf = ({ accountId, amount, ...described }: Deposit): Transfer => ({
  ...described,
  type: 'deposit',
  legs: [
    { account: mint('USD'), amount: usd(-amount) },
    { account: wallet(accountId, 'USD'), amount },
  ],
});

/** What one account gives another. */
export type Gift = {
  /** The other account's id, as the giver has written it. */
  to: string;
  amount: Usd;
  note: string | undefined;
};

export type Given = { id: TransferId; to: AccountId };

/** Moves credit from the caller to another account; what is not there is not moved. */
export async function give(submit: Ledger['submit'], op: AccountOp, { to, amount, note }: Gift): Promise<Given> {
  const { accountId, scopes } = op.actor;
  if (scopes !== null) throw new AppError('forbidden', 'Insufficient permissions: requires a key without scopes');
  if (amount <= 0n) throw new AppError('invalid', 'A gift is more than nothing');
  const other = parseId('account', to);
  if (other === accountId) throw new AppError('invalid', 'Credit is given to another account');
  if (!other) throw new AppError('not_found', 'Account not found');
  const id = newId(op, 'transfer');
  const legs = [
    { account: wallet(accountId, 'USD'), amount: usd(-amount) },
    { account: wallet(other, 'USD'), amount },
  ];
  await submit(op, { id, type: 'transfer', description: note ?? 'Transfer', legs }).catch((error: unknown) => {
    throw isAppError(error, 'not_found') ? new AppError('not_found', 'Account not found') : error;
  });
  return { id, to: other };
}

/** What the operator gives an account, or takes from it where the amount is negative. */
export type Adjustment<C extends Currency = Currency> = {
  accountId: AccountId;
  currency: C;
  amount: Money<C>;
  description: string | undefined;
};

export async function adjust(
  submit: Ledger['submit'],
  op: Op,
  { accountId, currency, amount, description }: Adjustment,
): Promise<TransferId> {
  if (op.actor.kind !== 'admin') throw new AppError('forbidden', 'Only the operator may do this');
  const id = newId(op, 'transfer');
  const isGiven = amount > 0n;
  await submit(op, {
    id,
    type: isGiven ? 'deposit' : 'adjustment',
    description: description ?? (isGiven ? 'Admin top-up' : 'Admin adjustment'),
    legs: [
      { account: mint(currency), amount: -amount as Money },
      { account: wallet(accountId, currency), amount },
    ],
  });
  return id;
}
