import { z } from 'zod';
import { KEY_FORMATS, MAX_KEY_NAME_LENGTH, SCOPES, type Identity } from '../../domains/identity/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import { created, ok, route, type Route } from '../contract.ts';
import { presentKey, presentMintedKey } from './present.ts';
import { IdParams, READ, Timestamp, Uuid, WRITE } from './wire.ts';

const NewKey = z.object({
  name: z
    .string()
    .min(1)
    .max(MAX_KEY_NAME_LENGTH)
    .regex(/\S/, { error: 'must not be blank' })
    .meta({ examples: ['production'] }),
  scopes: z
    .array(z.enum(SCOPES))
    .max(SCOPES.length)
    .optional()
    .meta({ description: 'What the key may do; everything where absent or empty.', examples: [['write', 'compute']] }),
  format: z.enum(KEY_FORMATS).optional().meta({
    description: '`e2b` writes the key the way that clients of the E2B API insist on. It opens the same things.',
  }),
});
const KeyShown = z.object({
  id: Uuid,
  name: z.string(),
  key_prefix: z.string().meta({ examples: ['bod_live_a3f8d2c1'] }),
  scopes: z.array(z.enum(SCOPES)),
  created_at: Timestamp,
});
const MintedKeyShown = KeyShown.extend({ key: z.string() });
const ListedKey = KeyShown.extend({ last_used_at: Timestamp.nullable(), expires_at: z.null() });

export const keyRoutes = ({ identity }: { identity: Identity }): Route[] => [
  route({
    method: 'POST',
    path: '/v1/keys',
    tag: 'API keys',
    summary: 'Create an API key',
    description: 'At most five active keys for an account. The key itself is only in this reply.',
    access: 'account',
    scopes: WRITE,
    idempotent: true,
    body: NewKey,
    replies: { 201: { description: 'The new key', schema: MintedKeyShown } },
    handle: async (op, { body }) =>
      created(presentMintedKey(await identity.mintKey(op, { ...body, scopes: body.scopes ?? null }))),
  }),
  route({
    method: 'GET',
    path: '/v1/keys',
    tag: 'API keys',
    summary: 'List the active API keys',
    access: 'account',
    scopes: READ,
    replies: { 200: { description: 'The keys that are not revoked', schema: z.object({ keys: z.array(ListedKey) }) } },
    handle: async (op) => ok({ keys: (await identity.listKeys(op)).map(presentKey) }),
  }),
  route({
    method: 'DELETE',
    path: '/v1/keys/:id',
    tag: 'API keys',
    summary: 'Revoke an API key',
    description: 'Irreversible. The key opens nothing any more from this reply on.',
    access: 'account',
    scopes: WRITE,
    params: IdParams,
    replies: { 200: { description: 'The key is revoked', schema: z.object({ id: Uuid, revoked: z.literal(true) }) } },
    handle: async (op, { params }) => {
      const id = parseId('key', params.id);
      if (!id) throw new AppError('not_found', 'API key not found');
      await identity.revokeKey(op, id);
      return ok({ id, revoked: true });
    },
  }),
];
