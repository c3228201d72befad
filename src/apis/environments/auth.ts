import { z } from 'zod';
import type { Identity } from '../../domains/identity/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentAccess } from './present.ts';
import { Uuid } from './wire.ts';

/** Each login asks GitHub three times. */
const LOGIN_LIMIT = { name: 'github-login', max: 30, windowMs: MINUTE };
const REFRESH_LIMIT = { name: 'token-refresh', max: 120, windowMs: MINUTE };
const MAX_CODE_LENGTH = 512;
const MAX_STATE_LENGTH = 2_048;
const MAX_TOKEN_LENGTH = 4_096;
const TAG = 'Login';

const Login = z.object({
  code: z.string().min(1).max(MAX_CODE_LENGTH).meta({ description: 'Authorization code from GitHub.' }),
  state: z.string().max(MAX_STATE_LENGTH).nullish().meta({
    description:
      'What came back with the code. One of this server must hold, once; one that the client has made up is the client’s to compare.',
  }),
});
const Refresh = z.object({ refresh_token: z.string().min(1).max(MAX_TOKEN_LENGTH) });

export const AccessShown = z.object({
  access_token: z.string(),
  token_type: z.literal('Bearer'),
  expires_in: z.int().meta({ description: 'Seconds.', examples: [900] }),
});
const LoginShown = AccessShown.extend({
  user_id: Uuid,
  refresh_token: z.string(),
  is_new_user: z.boolean().meta({ description: 'Whether this login opened the account.' }),
});
const StartShown = z.object({
  authorization_url: z.url().meta({ description: 'Where the person says yes.' }),
  state: z.string(),
  expires_in: z.int().meta({ description: 'Seconds for which the state holds.', examples: [600] }),
});

export const authRoutes = ({ identity }: { identity: Identity }): Route[] => [
  route({
    method: 'GET',
    path: '/api/v1/auth/github',
    tag: TAG,
    summary: 'Begin a login with GitHub',
    description:
      'Send the person to `authorization_url` and keep the state: GitHub sends them on with a code and that same state, or somebody else did.',
    access: 'public',
    addressLimit: LOGIN_LIMIT,
    fails: ['unconfigured'],
    replies: { 200: { description: 'Where to go', schema: StartShown } },
    handle: async (op) => {
      const { url, state, expiresInSeconds } = identity.startGithubLogin(op);
      return ok({ authorization_url: url, state, expires_in: expiresInSeconds } satisfies z.input<typeof StartShown>);
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/auth/github',
    tag: TAG,
    summary: 'Log in with a code from GitHub',
    description: 'Opens an account for whoever has none.',
    access: 'public',
    addressLimit: LOGIN_LIMIT,
    idempotent: true,
    body: Login,
    fails: ['unauthenticated', 'forbidden', 'unconfigured', 'at_capacity'],
    replies: { 200: { description: 'Logged in', schema: LoginShown } },
    handle: async (op, { body }) => {
      const login = await identity.logInWithGithub(op, { code: body.code, state: body.state ?? undefined });
      return ok({
        user_id: login.accountId,
        ...presentAccess(login.access),
        refresh_token: login.refreshToken,
        is_new_user: login.isNew,
      } satisfies z.input<typeof LoginShown>);
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/auth/refresh',
    tag: TAG,
    summary: 'Get a new access token',
    description: 'The refresh token stays the same, for 30 days.',
    access: 'public',
    addressLimit: REFRESH_LIMIT,
    body: Refresh,
    fails: ['unauthenticated'],
    replies: { 200: { description: 'The new access token', schema: AccessShown } },
    handle: async (op, { body }) => ok(presentAccess(await identity.refreshAccess(op, body.refresh_token))),
  }),
  route({
    method: 'POST',
    path: '/api/v1/auth/revoke',
    tag: TAG,
    summary: 'End a login',
    description: 'The refresh token and every access token made from it open nothing any more from this reply on.',
    access: 'public',
    addressLimit: REFRESH_LIMIT,
    body: Refresh,
    replies: {
      200: { description: 'The login has ended', schema: z.object({ message: z.literal('The login has ended') }) },
    },
    handle: async (op, { body }) => {
      await identity.endLogin(op, body.refresh_token);
      return ok({ message: 'The login has ended' });
    },
  }),
];
