import { z } from 'zod';
import { wallet, type Ledger } from '../../domains/ledger/index.ts';
import { SIZES } from '../../domains/sandboxes/index.ts';
import { cents, floorToCents } from '../../kernel/money.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentChange } from './present.ts';
import { Cents, limitQuery, READ, Timestamp, Uuid, WRITE } from './wire.ts';

/** A million dollars in one transfer: more is a slip of the keyboard. */
const MAX_TRANSFER_CENTS = 100_000_000;
const MAX_NOTE_LENGTH = 500;

const HistoryQuery = limitQuery({ max: 1_000, fallback: 50 });

const Balance = z.object({ balance_cents: Cents.meta({ examples: [1250] }) });
const ChangeShown = z.object({
  id: Uuid,
  type: z.string().meta({ examples: ['deposit'] }),
  amount_cents: Cents.meta({ examples: [500] }),
  balance_after_cents: Cents.meta({ examples: [1250] }),
  description: z.string().meta({ examples: ['Admin top-up'] }),
  created_at: Timestamp,
});
const Pricing = z.object({
  compute: z.object({ sandbox_per_hour_cents: z.record(z.string(), Cents) }),
  inference: z.object({ description: z.string() }),
  topup_tiers_usd: z.array(z.int()),
});

const NewTransfer = z.object({
  to_address: Uuid.meta({ description: 'The `account_id` of whoever is to have it.' }),
  amount_cents: z
    .int()
    .min(1)
    .max(MAX_TRANSFER_CENTS)
    .meta({ examples: [250] }),
  note: z
    .string()
    .max(MAX_NOTE_LENGTH)
    .optional()
    .meta({ description: 'Shown in the history of both.', examples: ['For the translation'] }),
});
const Transferred = z.object({
  id: Uuid,
  to_address: Uuid,
  amount_cents: Cents,
  note: z.string().nullable(),
  balance_cents: Cents.meta({ description: 'What is left.', examples: [1000] }),
  created_at: Timestamp,
});

/** Clause 1.9. */
const PRICING: z.output<typeof Pricing> = {
  compute: {
    sandbox_per_hour_cents: Object.fromEntries(SIZES.map(({ name, hourly }) => [name, floorToCents(hourly)])),
  },
  inference: { description: 'Pass-through at cost + 10%' },
  topup_tiers_usd: [5, 25, 100, 500, 1000, 2500],
};

export type CreditDomains = { ledger: Ledger; db: Parameters<Ledger['statement']>[0] };

export const creditRoutes = ({ ledger, db }: CreditDomains): Route[] => [
  route({
    method: 'GET',
    path: '/v1/credits/balance',
    tag: 'Credits',
    summary: 'Show what can be spent',
    description: 'What is reserved for tasks is not in it. Parts of a cent are not shown.',
    access: 'account',
    scopes: READ,
    replies: { 200: { description: 'The balance', schema: Balance } },
    handle: async (op) => {
      const { available } = await ledger.balance(db, wallet(op.actor.accountId, 'USD'));
      return ok({ balance_cents: floorToCents(available) });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/credits/history',
    tag: 'Credits',
    summary: 'List the changes of the balance, newest first',
    description: 'Every change has a row, and the amounts add up to the balance.',
    access: 'account',
    scopes: READ,
    query: HistoryQuery,
    replies: { 200: { description: 'The changes', schema: z.object({ transactions: z.array(ChangeShown) }) } },
    handle: async (op, { query }) => {
      const { rows } = await ledger.statement(db, wallet(op.actor.accountId, 'USD'), { limit: query.limit });
      return ok({ transactions: rows.map(presentChange) });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/credits/transfer',
    tag: 'Credits',
    summary: 'Give credit to another account',
    description:
      'It is there at once and cannot be taken back. Both histories have a row: `transfer_out` and `transfer_in`.',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    body: NewTransfer,
    fails: ['unaffordable', 'not_found', 'forbidden'],
    replies: { 200: { description: 'It is with them', schema: Transferred } },
    handle: async (op, { body }) => ok(await transfer({ ledger, db }, op, body)),
  }),
  route({
    method: 'GET',
    path: '/v1/credits/pricing',
    tag: 'Credits',
    summary: 'Show the prices',
    access: 'account',
    scopes: READ,
    replies: { 200: { description: 'The prices', schema: Pricing } },
    handle: async () => ok(PRICING),
  }),
];

async function transfer({ ledger, db }: CreditDomains, op: AccountOp, body: z.output<typeof NewTransfer>) {
  const { to_address: address, amount_cents: amountCents, note } = body;
  const { id, to } = await ledger.give(op, { to: address, amount: cents(amountCents), note });
  const { available } = await ledger.balance(db, wallet(op.actor.accountId, 'USD'));
  return {
    id,
    to_address: to,
    amount_cents: amountCents,
    note: note ?? null,
    balance_cents: floorToCents(available),
    created_at: op.now.toISOString(),
  };
}
