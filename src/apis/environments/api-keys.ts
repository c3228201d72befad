import { z } from 'zod';
import { MAX_KEY_NAME_LENGTH, type Identity } from '../../domains/identity/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentMintedKey } from './present.ts';
import { Timestamp, Uuid, WRITE } from './wire.ts';

const PATH = '/api/v1/users/me/api-keys';
const TAG = 'User';
const DEFAULT_NAME = 'API key';
const MAX_ID_LENGTH = 128;

const NewKey = z.object({
  name: z
    .string()
    .min(1)
    .max(MAX_KEY_NAME_LENGTH)
    .regex(/\S/, { error: 'must not be blank' })
    .nullish()
    .meta({ examples: ['laptop'] }),
});
const Revocation = z.object({
  key_id: z
    .string()
    .min(1)
    .max(MAX_ID_LENGTH)
    .meta({ examples: ['550e8400-e29b-41d4-a716-446655440000'] }),
});

export const KeyShown = z.object({
  key_id: Uuid,
  key: z.string().meta({ description: 'Shown only this once.', examples: ['bod_live_a3f8d2c1…'] }),
  name: z.string(),
  created_at: Timestamp,
  expires_at: z.null(),
  is_active: z.boolean(),
});

export const keyRoutes = ({ identity }: { identity: Identity }): Route[] => [
  route({
    method: 'POST',
    path: PATH,
    tag: TAG,
    summary: 'Create an API key',
    description: 'It may do what the credential may that makes it. At most five active keys for an account.',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    body: NewKey,
    fails: ['conflict'],
    replies: { 200: { description: 'The new key', schema: KeyShown } },
    handle: async (op, { body }) =>
      ok(presentMintedKey(await identity.mintKey(op, { name: body.name ?? DEFAULT_NAME, scopes: op.actor.scopes }))),
  }),
  route({
    method: 'DELETE',
    path: PATH,
    tag: TAG,
    summary: 'Revoke an API key',
    description: 'Irreversible. The key opens nothing any more from this reply on.',
    access: 'account',
    scopes: WRITE,
    body: Revocation,
    fails: ['not_found'],
    replies: {
      200: { description: 'The key is revoked', schema: z.object({ message: z.string(), revoked_key_id: Uuid }) },
    },
    handle: async (op, { body }) => {
      const id = parseId('key', body.key_id);
      if (!id) throw new AppError('not_found', 'API key not found');
      await identity.revokeKey(op, id);
      return ok({ message: 'API key revoked', revoked_key_id: id });
    },
  }),
];
