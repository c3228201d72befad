import { z } from 'zod';
import { MAX_NAME_LENGTH, MIN_NAME_LENGTH, NAME_PATTERN, type Identity } from '../../domains/identity/index.ts';
import { wallet } from '../../domains/ledger/index.ts';
import { floorToCents } from '../../kernel/money.ts';
import { MINUTE } from '../../kernel/time.ts';
import { created, ok, route, type Route } from '../contract.ts';
import type { CreditDomains } from './credits.ts';
import { presentChallenge } from './present.ts';
import { Cents, Uuid } from './wire.ts';

/** Making a challenge is cheap and leaves nothing behind. */
const CHALLENGE_LIMIT = { name: 'challenge', max: 300, windowMs: MINUTE };
/** Attempts, right and wrong; how many of them may succeed is the domain's rule. */
const REGISTER_LIMIT = { name: 'register', max: 60, windowMs: MINUTE };
const MAX_ANSWER_LENGTH = 1_000;
const MAX_TOKEN_LENGTH = 2_000;

const ChallengeShown = z.object({
  challenge: z.object({
    type: z.enum(['math', 'string', 'count', 'sort', 'binary']).meta({ examples: ['binary'] }),
    icon: z.string().meta({ examples: ['01'] }),
    title: z.string().meta({ examples: ['Binary Decode'] }),
    description: z.string().meta({ examples: ['Convert the binary octets to ASCII text.'] }),
    prompt: z.string().meta({ examples: ['01010010 01001111 01000010 01001111 01010100'] }),
    timeLimit: z.int().meta({ description: 'Seconds.', examples: [30] }),
    id: z.string(),
  }),
  token: z.string(),
});
const NewAccount = z.object({
  answer: z
    .string()
    .min(1)
    .max(MAX_ANSWER_LENGTH)
    .meta({ examples: ['ROBOT'] }),
  token: z.string().min(1).max(MAX_TOKEN_LENGTH).meta({ description: 'The token that came with the challenge.' }),
  name: z
    .string()
    .min(MIN_NAME_LENGTH)
    .max(MAX_NAME_LENGTH)
    .regex(NAME_PATTERN, { error: 'must consist of letters, digits, spaces and hyphens' })
    .meta({ examples: ['my-agent'] }),
});
const Registered = z.object({
  account_id: Uuid,
  api_key: z.string().meta({ examples: ['bod_live_a3f8d2c1…'] }),
  key_id: Uuid,
  key_prefix: z.string().meta({ examples: ['bod_live_a3f8d2c1'] }),
  balance_cents: Cents.meta({ examples: [0] }),
  note: z.string().meta({ examples: ['Save your API key — it cannot be retrieved again.'] }),
});

const NOTE = 'Save your API key — it cannot be retrieved again.';

export const registrationRoutes = ({ identity, ledger, db }: CreditDomains & { identity: Identity }): Route[] => [
  route({
    method: 'GET',
    path: '/v1/auth/challenge',
    tag: 'Registration',
    summary: 'Get a registration challenge',
    description: 'To be answered within 30 seconds, once.',
    access: 'public',
    addressLimit: CHALLENGE_LIMIT,
    replies: { 200: { description: 'The challenge and the token that goes with its answer', schema: ChallengeShown } },
    handle: async (op) => {
      const { challenge, token } = identity.challenge(op);
      return ok({ challenge: presentChallenge(challenge), token });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/auth/register',
    tag: 'Registration',
    summary: 'Open an account with the answer to a challenge',
    description: 'Any answer uses the challenge up. Three accounts an hour for each network address.',
    access: 'public',
    addressLimit: REGISTER_LIMIT,
    idempotent: true,
    body: NewAccount,
    replies: { 201: { description: 'The account and its first API key', schema: Registered } },
    handle: async (op, { body }) => {
      const { account, key } = await identity.register(op, body);
      const { available } = await ledger.balance(db, wallet(account.id, 'USD'));
      return created({
        account_id: account.id,
        api_key: key.secret,
        key_id: key.id,
        key_prefix: key.prefix,
        balance_cents: floorToCents(available),
        note: NOTE,
      });
    },
  }),
];
