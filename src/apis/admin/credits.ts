import { z } from 'zod';
import type { Grid } from '../../domains/grid/index.ts';
import type { Identity } from '../../domains/identity/index.ts';
import { wallet, type Ledger } from '../../domains/ledger/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { parseId, type AccountId } from '../../kernel/ids.ts';
import { MICROS_PER_CENT, type Currency, type Money } from '../../kernel/money.ts';
import type { Op } from '../../kernel/op.ts';
import { ok, route, type Route } from '../contract.ts';

/** Ten thousand million dollars: more is a slip of the keyboard. */
const MAX_CENTS = 1_000_000_000_000;
const MAX_DESCRIPTION_LENGTH = 500;
const MAX_ACCOUNT_LENGTH = 128;
const MAX_IDEMPOTENCY_KEY_LENGTH = 255;

/** A cent is the hundredth of every currency. */
const UNITS_PER_CENT = { USD: MICROS_PER_CENT, TCK: 100n } as const satisfies Record<Currency, bigint>;

const Credit = z.object({
  account_id: z
    .string()
    .min(1)
    .max(MAX_ACCOUNT_LENGTH)
    .meta({
      description: 'The id of an account, or the name of a node.',
      examples: ['550e8400-e29b-41d4-a716-446655440000'],
    }),
  amount_cents: z
    .int()
    .min(-MAX_CENTS)
    .max(MAX_CENTS)
    .refine((amount) => amount !== 0, { error: 'amount_cents must not be 0' })
    .meta({ description: 'Hundredths of the currency. A negative amount debits.', examples: [500] }),
  currency: z.enum(['USD', 'TCK']).default('USD'),
  description: z.string().max(MAX_DESCRIPTION_LENGTH).optional(),
  idempotency_key: z.string().min(1).max(MAX_IDEMPOTENCY_KEY_LENGTH).optional(),
});
const Credited = z.object({ account_id: z.uuid(), balance_cents: z.int(), transaction_id: z.uuid() });

export type CreditDomains = {
  identity: Identity;
  ledger: Ledger;
  grid: Pick<Grid, 'nodes'>;
  db: Parameters<Ledger['balance']>[0];
};

export const creditRoutes = (domains: CreditDomains): Route[] => [
  route({
    method: 'POST',
    path: '/v1/admin/credits',
    tag: 'Operations',
    summary: 'Credit or debit an account',
    access: 'admin',
    idempotent: true,
    idempotencyField: 'idempotency_key',
    body: Credit,
    replies: { 200: { description: 'The new balance, and the transfer that led to it', schema: Credited } },
    handle: async (op, { body }) => {
      const account = await domains.identity.account(await accountIdOf(domains, body.account_id));
      return ok(await credit(domains, op, account.id, body));
    },
  }),
];

/** An account's id, or the name of its node. Throws `not_found`. */
async function accountIdOf({ grid }: CreditDomains, text: string): Promise<AccountId> {
  const id = parseId('account', text) ?? (await grid.nodes.accountOf(text));
  if (!id) throw new AppError('not_found', 'Account not found');
  return id;
}

async function credit({ ledger, db }: CreditDomains, op: Op, accountId: AccountId, body: z.output<typeof Credit>) {
  const { currency, amount_cents: cents } = body;
  const amount = (BigInt(cents) * UNITS_PER_CENT[currency]) as Money;
  const transactionId = await ledger.adjust(op, { accountId, currency, amount, description: body.description });
  const { available } = await ledger.balance(db, wallet(accountId, currency));
  return {
    account_id: accountId,
    balance_cents: Number(available / UNITS_PER_CENT[currency]),
    transaction_id: transactionId,
  };
}
