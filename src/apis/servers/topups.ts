import { z } from 'zod';
import {
  AMOUNT_RULE,
  LEAST_USD,
  MAX_LISTED,
  MAX_OPEN,
  MAX_OPEN_UNPAID,
  MAX_SYMBOL_LENGTH,
  MOST_USD,
  OPEN_MS,
  UNPAID_WATCHED_MS,
  parseAmount,
  WATCHED_MS,
  type Payments,
} from '../../domains/payments/index.ts';
import { DAY, HOUR } from '../../kernel/time.ts';
import { created, ok, route, type Route } from '../contract.ts';
import { presentTopup } from './present.ts';
import { Decimal, IdParams, LOOK, RENT, Timestamp, Uuid } from './wire.ts';

const TAG = 'Servers';
const EXTENSION = 'Beyond the contract’s document.';
const MAX_AMOUNT_LENGTH = 20;
const ADDRESS = '0x5FbDB2315678afecb367f032d93F642f64180aa3';

const Address = z.string().meta({ examples: [ADDRESS] });
const Coin = {
  coin: z.string().meta({ examples: ['USDC'] }),
  chainId: z.int().meta({ description: 'Of the chain that it must be sent on.', examples: [8453] }),
  token: Address.meta({ description: 'The coin’s contract.', examples: [ADDRESS] }),
  decimals: z.int().meta({ examples: [6] }),
};
const Wish = z.object({
  amountUsd: z
    .union([z.string().max(MAX_AMOUNT_LENGTH), z.number()], { error: AMOUNT_RULE })
    .refine((amount) => parseAmount(amount) !== undefined, { error: `amountUsd ${AMOUNT_RULE}` })
    .meta({
      description: `US dollars from ${LEAST_USD} to ${MOST_USD} with at most two decimals; a string, so that nothing is rounded, or a number.`,
      examples: ['25.00'],
    }),
  coin: z
    .string()
    .min(1)
    .max(MAX_SYMBOL_LENGTH)
    .meta({ description: 'As `accepts` of GET /billing/topups names it.', examples: ['USDC'] }),
});
export const TopupShown = z.object({
  id: Uuid,
  address: Address.meta({ description: 'Of this top-up alone. Send the coin here.', examples: [ADDRESS] }),
  amount: Decimal.meta({ description: 'What was asked for: as many coins as dollars.', examples: ['25.00'] }),
  expiresAt: Timestamp,
  status: z.enum(['pending', 'confirming', 'paid', 'expired']).meta({
    description: 'paid: something is credited. confirming: something has been sent that is not credited yet.',
  }),
  receivedUsd: Decimal.meta({ description: 'What has been credited.', examples: ['25.00'] }),
  ...Coin,
  confirmations: z.int().meta({ description: 'Blocks on the newest payment; 0 while there is none.' }),
  confirmationsNeeded: z.int(),
  createdAt: Timestamp,
});
const Accepts = z.object({ ...Coin, confirmations: z.int() });
const Topups = z.object({
  topups: z.array(TopupShown),
  accepts: Accepts.nullable().meta({ description: 'What may be paid with; null where nothing may just now.' }),
});

export const topupRoutes = ({ payments }: { payments: Payments }): Route[] => [
  route({
    method: 'POST',
    path: '/billing/topups',
    tag: TAG,
    summary: 'Top up with a stable-coin',
    description: `Answers an address that is this top-up’s alone. What arrives there is credited, a dollar for a coin, once enough blocks stand on it; less, more, several payments and late ones as well. It is waited for ${OPEN_MS / HOUR} hours and credited for ${WATCHED_MS / DAY} days after that; ${MAX_OPEN} may wait at a time. Until the account has brought in a dollar it is ${UNPAID_WATCHED_MS / HOUR} hours, and ${MAX_OPEN_UNPAID}; what comes later is credited when GET /billing/topups/:id asks for it. 503 where this server takes no payments or its chain cannot be asked just now. ${EXTENSION}`,
    access: 'account',
    scopes: RENT,
    idempotent: true,
    body: Wish,
    fails: ['conflict', 'unconfigured', 'at_capacity'],
    replies: { 201: { description: 'Where to pay', schema: TopupShown } },
    handle: async (op, { body }) =>
      created(presentTopup(await payments.request(op, body), payments.confirmations, op.now)),
  }),
  route({
    method: 'GET',
    path: '/billing/topups',
    tag: TAG,
    summary: 'List top-ups, newest first, and what may be paid with',
    description: `The newest ${MAX_LISTED}. ${EXTENSION}`,
    access: 'account',
    scopes: LOOK,
    replies: { 200: { description: 'The top-ups', schema: Topups } },
    handle: async (op) => {
      const [topups, coin] = await Promise.all([payments.list(op), payments.accepted(op)]);
      return ok({
        topups: topups.map((topup) => presentTopup(topup, payments.confirmations, op.now)),
        accepts: coin
          ? {
              coin: coin.symbol,
              chainId: coin.chainId,
              token: coin.token,
              decimals: coin.decimals,
              confirmations: coin.confirmations,
            }
          : null,
      });
    },
  }),
  route({
    method: 'GET',
    path: '/billing/topups/:id',
    tag: TAG,
    summary: 'Show a top-up',
    description: `While somebody asks, its address is watched; one that was not is read for from where that ended, until ${WATCHED_MS / DAY} days after its time. ${EXTENSION}`,
    access: 'account',
    scopes: LOOK,
    params: IdParams,
    replies: { 200: { description: 'The top-up', schema: TopupShown } },
    handle: async (op, { params }) =>
      ok(presentTopup(await payments.get(op, params.id), payments.confirmations, op.now)),
  }),
];
