import { z } from 'zod';
import { SESSION_SECONDS, type Grid } from '../../domains/grid/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';

const TAG = 'Grid: nodes';
/** Whoever checks our tokens may keep the key for so long. */
const CACHED = { 'cache-control': 'public, max-age=3600' };

const PublicKey = z.object({
  kty: z.literal('RSA'),
  n: z.string(),
  e: z.string(),
  alg: z.literal('RS256'),
  use: z.literal('sig'),
  kid: z.string(),
});
const SessionShown = z.object({
  session_token: z.string(),
  token_type: z.literal('Bearer'),
  expires_in: z.int().meta({ description: 'Seconds.', examples: [SESSION_SECONDS] }),
});

export const sessionRoutes = ({ grid }: { grid: Grid }): Route[] => [
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/node/refresh',
    tag: TAG,
    summary: 'Get a new session token',
    description: 'With the node’s key: a token does not make itself last.',
    keyOnly: true,
    fails: ['forbidden'],
    replies: { 200: { description: 'A token for 15 minutes', schema: SessionShown } },
    handle: async (op) =>
      ok({
        session_token: await grid.nodes.refresh(op),
        token_type: 'Bearer',
        expires_in: SESSION_SECONDS,
      } satisfies z.input<typeof SessionShown>),
  }),
  route({
    method: 'GET',
    path: '/.well-known/jwks.json',
    tag: TAG,
    summary: 'The key that session tokens and certificates are checked with',
    access: 'public',
    replies: { 200: { description: 'The keys', schema: z.object({ keys: z.array(PublicKey) }) } },
    handle: async () => ({ ...ok({ keys: [(await grid.nodes.publicKey()).jwk] }), headers: CACHED }),
  }),
  route({
    method: 'GET',
    path: '/.well-known/botnode-cri-pubkey.pem',
    tag: TAG,
    summary: 'The same key as PEM',
    access: 'public',
    replies: { 200: { description: 'The key', schema: z.string(), contentType: 'application/x-pem-file' } },
    handle: async () => ({
      ...ok((await grid.nodes.publicKey()).pem),
      headers: { ...CACHED, 'content-type': 'application/x-pem-file' },
    }),
  }),
];
