import { createHash } from 'node:crypto';
import { AppError } from '../../kernel/errors.ts';
import { isUuid, uuidFrom, type TransferId } from '../../kernel/ids.ts';
import type { Currency, Money } from '../../kernel/money.ts';
import type { Op } from '../../kernel/op.ts';
import type { Code } from './account.ts';

/** One side of a movement: a positive amount comes to the account, a negative one leaves it. */
export type Leg<C extends Currency = Currency> = { account: Code<C>; amount: Money<C>; type?: string };

type Described = {
  /** The caller's own id: repeating it has no second effect. */
  id: TransferId;
  /** What a statement calls it: `deposit`, `task_reserve`. */
  type: string;
  description: string;
  metadata?: Record<string, unknown>;
};

export type Transfer = Described & { legs: readonly Leg[] };

/** Money put aside from one account for another. It counts against the available balance from now on. */
export type Hold<C extends Currency = Currency> = Described & {
  from: Code<C>;
  to: Code<C>;
  amount: Money<C>;
  /** What a statement calls the part that comes back. */
  releaseType: string;
  /** Given back by itself at this time. */
  expiresAt?: Date;
};

/** How a hold ends. Without an amount the whole of it is posted. */
export type Resolution = { kind: 'post'; amount?: Money } | { kind: 'void' } | { kind: 'expire' };

/** What `ledger_apply` takes, ready for JSON. */
export type Command = {
  kind: string;
  id: TransferId;
  type: string | null;
  description: string | null;
  metadata: Record<string, unknown> | null;
  request_id: string;
  at: Date;
  release_type: string | null;
  expires_at: Date | null;
  hold_id: TransferId | null;
  amount: string | null;
  legs: { account: string; amount: string; type: string | null }[];
};

const MAX_LEGS = 32;
/** Balances stay within as much, either way; so do amounts. */
const MAX_AMOUNT = 10n ** 18n;
const MAX_TYPE_LENGTH = 100;
const MAX_DESCRIPTION_LENGTH = 2_000;
const MAX_METADATA_LENGTH = 10_000;

const empty = { release_type: null, expires_at: null, hold_id: null, amount: null, legs: [] };

/** Throws `invalid` for what the database would not take: it would refuse the whole batch with it. */
function described(op: Op, given: Described) {
  const { id, type, description, metadata = {} } = given;
  if (!isUuid(id)) throw new AppError('invalid', 'A transfer has a UUID');
  checkText('type', type, MAX_TYPE_LENGTH);
  checkText('description', description, MAX_DESCRIPTION_LENGTH);
  checkText('metadata', textsOf(metadata), MAX_METADATA_LENGTH);
  return { ...empty, id, type, description, metadata, request_id: op.requestId, at: op.now };
}

function checkText(name: string, text: string, maxLength: number): void {
  if (text.length > maxLength) throw new AppError('invalid', `${name} has at most ${maxLength} characters`);
  if (text.includes('\0') || !text.isWellFormed()) throw new AppError('invalid', `${name} is not text`);
}

/** Every name and text in it, unescaped. */
function textsOf(metadata: Record<string, unknown>): string {
  const texts: string[] = [];
  JSON.stringify(metadata, (key, value: unknown) => {
    texts.push(key, typeof value === 'string' ? value : '');
    return value;
  });
  return texts.join(' ');
}

function checkAmount(amount: bigint): void {
  if (amount > MAX_AMOUNT || amount < -MAX_AMOUNT) throw new AppError('invalid', 'The amount is too large');
}

/** Throws `invalid` where the legs cannot be a transfer. */
export function transferCommand(op: Op, transfer: Transfer): Command {
  const accounts = new Set(transfer.legs.map((leg) => leg.account));
  if (transfer.legs.length < 2 || transfer.legs.length > MAX_LEGS || accounts.size !== transfer.legs.length)
    throw new AppError('invalid', `A transfer has 2 to ${MAX_LEGS} legs, each of another account`);
  for (const { amount } of transfer.legs) checkAmount(amount);
  if (transfer.legs.some((leg) => leg.amount === 0n))
    throw new AppError('invalid', 'A leg of a transfer moves something');
  const sums = new Map<string, bigint>();
  for (const { account, amount } of transfer.legs)
    sums.set(currencyOf(account), (sums.get(currencyOf(account)) ?? 0n) + amount);
  if ([...sums.values()].some((sum) => sum !== 0n)) throw new AppError('invalid', 'The legs of a transfer sum to zero');
  for (const { type } of transfer.legs) checkText('type', type ?? '', MAX_TYPE_LENGTH);
  const legs = transfer.legs.map(({ account, amount, type }) => ({
    account,
    amount: String(amount),
    type: type ?? null,
  }));
  return { ...described(op, transfer), kind: 'transfer', legs };
}

const currencyOf = (account: Code): string => account.slice(account.lastIndexOf(':') + 1);

/** Throws `invalid` for an amount that is nothing or less, and for accounts between which it cannot move. */
export function holdCommand(op: Op, hold: Hold): Command {
  if (hold.amount <= 0n) throw new AppError('invalid', 'A hold puts something aside');
  checkAmount(hold.amount);
  checkText('type', hold.releaseType, MAX_TYPE_LENGTH);
  if (hold.from === hold.to || currencyOf(hold.from) !== currencyOf(hold.to))
    throw new AppError('invalid', 'A hold is for another account of the same currency');
  const legs = [
    { account: hold.from, amount: String(-hold.amount), type: null },
    { account: hold.to, amount: String(hold.amount), type: null },
  ];
  return {
    ...described(op, hold),
    kind: 'hold',
    release_type: hold.releaseType,
    expires_at: hold.expiresAt ?? null,
    legs,
  };
}

/** A hold has one resolution, so the id of the resolution follows from the hold's: of two, the second finds it taken. */
export function resolutionCommand(op: Op, holdId: TransferId, resolution: Resolution): Command {
  // Posting nothing is letting go: a posted hold has moved something.
  const kind = resolution.kind === 'post' && resolution.amount === 0n ? 'void' : resolution.kind;
  if (resolution.kind === 'post' && resolution.amount !== undefined && resolution.amount < 0n)
    throw new AppError('invalid', 'A hold cannot be posted in reverse');
  if (!isUuid(holdId)) throw new AppError('not_found', 'No such hold');
  if (resolution.kind === 'post') checkAmount(resolution.amount ?? 0n);
  const amount =
    kind === 'post' && resolution.kind === 'post' && resolution.amount !== undefined ? String(resolution.amount) : null;
  const id = uuidFrom(createHash('sha256').update(`resolution of ${holdId}`).digest()) as TransferId;
  return {
    ...empty,
    kind,
    id,
    type: null,
    description: null,
    metadata: null,
    request_id: op.requestId,
    at: op.now,
    hold_id: holdId,
    amount,
  };
}
