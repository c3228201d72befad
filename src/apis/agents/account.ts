import { z } from 'zod';
import {
  MAX_EMAIL_LENGTH,
  MAX_PASSWORD_LENGTH,
  MIN_PASSWORD_LENGTH,
  type Identity,
} from '../../domains/identity/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import { created, ok, route, type Route } from '../contract.ts';
import { presentAccount } from './present.ts';
import { READ, Timestamp, Uuid } from './wire.ts';

/** Each claim costs us the hash of a password. */
const CLAIM_LIMIT = { name: 'claim', max: 20, windowMs: MINUTE };
const MAX_TOKEN_LENGTH = 256;

const Overview = z.object({
  account_id: Uuid,
  name: z.string(),
  kind: z.enum(['person', 'agent']),
  claimed: z.boolean(),
  claimed_at: Timestamp.nullable(),
  key_count: z.int(),
  created_at: Timestamp,
});
const Claim = z.object({
  token: z.string().min(1).max(MAX_TOKEN_LENGTH).meta({ description: 'What follows the # of the claim URL.' }),
  email: z
    .email({ error: 'must be an e-mail address' })
    .max(MAX_EMAIL_LENGTH)
    .meta({ examples: ['ada@example.com'] }),
  password: z
    .string()
    .min(MIN_PASSWORD_LENGTH)
    .max(MAX_PASSWORD_LENGTH)
    .meta({ examples: ['correct horse battery'] }),
});
const Claimed = z.object({ account_id: Uuid, email: z.string(), claimed: z.literal(true) });

export const accountRoutes = ({ identity, publicUrl }: { identity: Identity; publicUrl: () => string }): Route[] => [
  route({
    method: 'GET',
    path: '/v1/account',
    tag: 'Account',
    summary: 'Show the account of the key',
    access: 'account',
    scopes: READ,
    replies: { 200: { description: 'The account', schema: Overview } },
    handle: async (op) => ok(presentAccount(await identity.describe(op))),
  }),
  route({
    method: 'POST',
    path: '/v1/account/claim-link',
    tag: 'Account',
    summary: 'Make a link with which a person can claim the account',
    description:
      'The link works once and for 24 hours, and ends an earlier one. Whoever has it can take the account over, so it takes a key without scopes.',
    access: 'account',
    idempotent: true,
    replies: { 201: { description: 'The link', schema: z.object({ claim_url: z.url(), expires_at: Timestamp }) } },
    handle: async (op) => {
      const link = await identity.linkClaim(op);
      // Behind the # the token reaches neither a server nor its log.
      return created({ claim_url: `${publicUrl()}/claim#${link.token}`, expires_at: link.expiresAt.toISOString() });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/account/claim',
    tag: 'Account',
    summary: 'Claim an account as a person',
    description: "Gives the account an e-mail address and a password. The agent's keys keep working.",
    access: 'public',
    addressLimit: CLAIM_LIMIT,
    idempotent: true,
    body: Claim,
    replies: { 200: { description: 'The account is claimed', schema: Claimed } },
    handle: async (op, { body }) => {
      const { accountId, email } = await identity.claim(op, body);
      return ok({ account_id: accountId, email, claimed: true });
    },
  }),
];
