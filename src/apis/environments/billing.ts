import { z } from 'zod';
import { LARGE, STANDARD } from '../../domains/environments/index.ts';
import type { Identity } from '../../domains/identity/index.ts';
import { wallet, type Ledger } from '../../domains/ledger/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { floorToCents } from '../../kernel/money.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentChange, sumsInCents } from './present.ts';
import { Cents, MAX_PAGE, READ, Timestamp, Uuid, WRITE, wholeNumber } from './wire.ts';

const TAG = 'Billing';
const MAX_PER_PAGE = 100;
const USUAL_PER_PAGE = 25;
const MIN_DEPOSIT_CENTS = 500;
/** A million dollars: more is a slip of the keyboard. */
const MAX_DEPOSIT_CENTS = 100_000_000;
const MAX_URL_LENGTH = 2_048;
const MAX_EVENT_TEXT = 255;

const Balance = z.object({
  user_id: Uuid,
  balance: Cents.meta({ description: 'What can be spent, in cents.', examples: [1250] }),
  total_deposited: Cents.meta({ description: 'All that ever came in, in cents.', examples: [2000] }),
  total_spent: Cents.meta({
    description: 'The difference of the two: with what is put aside at the moment, without what was given back.',
    examples: [750],
  }),
  stripe_customer_id: z.string().nullable(),
  last_updated: Timestamp,
});
export const ChangeShown = z.object({
  id: Uuid,
  type: z.string().meta({ examples: ['deposit'] }),
  amount_cents: Cents.meta({ examples: [500] }),
  balance_after_cents: Cents.meta({ examples: [1250] }),
  description: z.string().meta({ examples: ['Admin top-up'] }),
  created_at: Timestamp,
});
const UsagePage = z.object({
  current_balance_cents: Cents,
  total_deposits_cents: Cents,
  total_usage_cents: Cents,
  transactions: z.array(ChangeShown),
  total_count: z.int(),
  page: z.int(),
  limit: z.int(),
  has_more: z.boolean(),
});
const UsageQuery = z.object({
  page: wholeNumber({ min: 1, max: MAX_PAGE }).default(1),
  limit: wholeNumber({ min: 1, max: MAX_PER_PAGE }).default(USUAL_PER_PAGE),
});
const Pricing = z.object({
  currency: z.literal('usd'),
  sessions: z.object({
    per_hour_cents: Cents,
    large_per_hour_cents: Cents.meta({ description: 'Of a sample that asks for more than 2 processors or 2 GB.' }),
    billed_from: z.string(),
    granularity: z.string(),
  }),
});
const Deposit = z.object({
  amount_cents: z.int().min(MIN_DEPOSIT_CENTS).max(MAX_DEPOSIT_CENTS),
  currency: z.literal('usd').default('usd'),
});
const DepositShown = z.object({ checkout_url: z.url().max(MAX_URL_LENGTH), amount_cents: Cents, currency: z.string() });
/** As much of Stripe's event as says that it is one. */
const StripeEvent = z.looseObject({
  id: z.string().min(1).max(MAX_EVENT_TEXT),
  type: z.string().min(1).max(MAX_EVENT_TEXT),
});

const PRICING: z.output<typeof Pricing> = {
  currency: 'usd',
  sessions: {
    per_hour_cents: floorToCents(STANDARD.hourly),
    large_per_hour_cents: floorToCents(LARGE.hourly),
    billed_from: 'created_at',
    granularity: 'second',
  },
};

export type BillingDomains = { identity: Identity; ledger: Ledger; db: Parameters<Ledger['sums']>[0] };

export const billingRoutes = (domains: BillingDomains): Route[] => [
  balanceRoute(domains),
  pricingRoute,
  usageRoute(domains),
  depositRoute,
  webhookRoute,
];

const balanceRoute = ({ identity, ledger, db }: BillingDomains): Route =>
  route({
    method: 'GET',
    path: '/api/v1/billing/balance',
    tag: TAG,
    summary: 'Show what can be spent, and what came in and was used',
    access: 'account',
    scopes: READ,
    replies: { 200: { description: 'The balance', schema: Balance } },
    handle: async (op) => {
      const { accountId } = op.actor;
      const sums = await ledger.sums(db, wallet(accountId, 'USD'));
      const cents = sumsInCents(sums);
      const since = sums.changedAt ?? (await identity.account(accountId)).createdAt;
      return ok({
        user_id: accountId,
        balance: cents.balance,
        total_deposited: cents.deposited,
        total_spent: cents.used,
        stripe_customer_id: null,
        last_updated: since.toISOString(),
      } satisfies z.input<typeof Balance>);
    },
  });

const pricingRoute: Route = route({
  method: 'GET',
  path: '/api/v1/billing/pricing',
  tag: TAG,
  summary: 'Show the prices of sessions',
  access: 'public',
  replies: { 200: { description: 'The prices', schema: Pricing } },
  handle: async () => ok(PRICING),
});

const usageRoute = ({ ledger, db }: BillingDomains): Route =>
  route({
    method: 'GET',
    path: '/api/v1/billing/usage',
    tag: TAG,
    summary: 'List the changes of the balance, newest first',
    description: 'Every change has a row, and the amounts of all pages add up to the balance.',
    access: 'account',
    scopes: READ,
    query: UsageQuery,
    replies: { 200: { description: 'One page of the changes', schema: UsagePage } },
    handle: async (op, { query: { page, limit } }) => {
      const account = wallet(op.actor.accountId, 'USD');
      const { sums, rows, total } = await ledger.numberedPage(db, account, { number: page, size: limit });
      const cents = sumsInCents(sums);
      return ok({
        current_balance_cents: cents.balance,
        total_deposits_cents: cents.deposited,
        total_usage_cents: cents.used,
        transactions: rows.map(presentChange),
        total_count: total,
        page,
        limit,
        has_more: page * limit < total,
      } satisfies z.input<typeof UsagePage>);
    },
  });

const noCards = (): AppError => new AppError('unconfigured', 'Card payments are not set up on this server');

const depositRoute: Route = route({
  method: 'POST',
  path: '/api/v1/billing/deposit',
  tag: TAG,
  summary: 'Pay money in by card',
  access: 'account',
  scopes: WRITE,
  idempotent: true,
  body: Deposit,
  fails: ['unconfigured'],
  replies: { 200: { description: 'Where to pay', schema: DepositShown } },
  handle: () => Promise.reject(noCards()),
});

const webhookRoute: Route = route({
  method: 'POST',
  path: '/api/v1/billing/webhook',
  tag: TAG,
  summary: 'Take an event of Stripe',
  access: 'public',
  body: StripeEvent,
  fails: ['unconfigured'],
  replies: { 200: { description: 'Taken', schema: z.looseObject({}) } },
  handle: () => Promise.reject(noCards()),
});
