import { z } from 'zod';
import {
  MAX_EMAIL_LENGTH,
  MAX_PASSWORD_LENGTH,
  MIN_PASSWORD_LENGTH,
  type EmailLogin,
  type Identity,
} from '../../domains/identity/index.ts';
import { wallet, type Ledger } from '../../domains/ledger/index.ts';
import type { AccountId } from '../../kernel/ids.ts';
import type { Usd } from '../../kernel/money.ts';
import { MINUTE } from '../../kernel/time.ts';
import { created, ok, route, type Route } from '../contract.ts';
import { presentBalance, presentUser } from './present.ts';
import { Decimal, LOOK, Uuid } from './wire.ts';

/** Of one address, over all three. */
const AUTH_LIMIT = { name: 'servers-auth', max: 10, windowMs: MINUTE };
const TAG = 'E-mail accounts';

const Email = z
  .email({ error: 'must be an e-mail address' })
  .max(MAX_EMAIL_LENGTH)
  .meta({ examples: ['ada@example.com'] });
const Registration = z.object({
  email: Email,
  password: z
    .string()
    .min(MIN_PASSWORD_LENGTH)
    .max(MAX_PASSWORD_LENGTH)
    .meta({ examples: ['correct horse battery staple'] }),
});
const Login = z.object({
  email: Email,
  password: z
    .string()
    .min(1)
    .max(MAX_PASSWORD_LENGTH)
    .meta({ examples: ['correct horse battery staple'] }),
});

export const UserShown = z.object({
  id: Uuid,
  email: z.string().nullable().meta({ description: 'Null for an agent that no person has claimed.' }),
  balance: Decimal,
});
const SessionShown = z.object({
  accessToken: z.string().meta({ description: 'Opens everything for 15 minutes; then log in again.' }),
  user: UserShown,
});
const UserAlone = z.object({ user: UserShown });

export type AuthDomains = { identity: Identity; ledger: Ledger; db: Parameters<Ledger['balance']>[0] };

export const balanceOf = async ({ ledger, db }: Pick<AuthDomains, 'ledger' | 'db'>, id: AccountId): Promise<Usd> =>
  (await ledger.balance(db, wallet(id, 'USD'))).available;

async function presentSession(
  domains: AuthDomains,
  { accountId, access }: EmailLogin,
  email: string,
): Promise<z.input<typeof SessionShown>> {
  const balance = presentBalance(await balanceOf(domains, accountId));
  return { accessToken: access.token, user: { id: accountId, email: email.trim().toLowerCase(), balance } };
}

export const authRoutes = (domains: AuthDomains): Route[] => [
  route({
    method: 'POST',
    path: '/auth/register',
    operationId: 'postEmailAccount',
    tag: TAG,
    summary: 'Open an account with an e-mail address',
    description:
      'The address and a password are all that is needed. `POST /billing/topups`, or whoever runs this server, brings money in.',
    access: 'public',
    addressLimit: AUTH_LIMIT,
    idempotent: true,
    body: Registration,
    fails: ['conflict'],
    replies: { 201: { description: 'The account, and a token for it', schema: SessionShown } },
    handle: async (op, { body }) =>
      created(await presentSession(domains, await domains.identity.registerByEmail(op, body), body.email)),
  }),
  route({
    method: 'POST',
    path: '/auth/login',
    tag: TAG,
    summary: 'Log in with an e-mail address and a password',
    description: 'On any 401, log in again and repeat the request once.',
    access: 'public',
    addressLimit: AUTH_LIMIT,
    body: Login,
    fails: ['unauthenticated'],
    replies: { 200: { description: 'A fresh token', schema: SessionShown } },
    handle: async (op, { body }) =>
      ok(await presentSession(domains, await domains.identity.logInByEmail(op, body), body.email)),
  }),
  route({
    method: 'GET',
    path: '/auth/me',
    tag: TAG,
    summary: 'Show who the caller is, and the balance',
    access: 'account',
    addressLimit: AUTH_LIMIT,
    scopes: LOOK,
    replies: { 200: { description: 'The caller', schema: UserAlone } },
    handle: async (op) => {
      const profile = await domains.identity.profile(op);
      return ok({ user: presentUser(profile, await balanceOf(domains, op.actor.accountId)) });
    },
  }),
];
