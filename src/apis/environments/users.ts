import { z } from 'zod';
import type { Identity } from '../../domains/identity/index.ts';
import { ok, route, type Route } from '../contract.ts';
import { presentUser } from './present.ts';
import { READ, Timestamp, Uuid } from './wire.ts';

export const UserShown = z.object({
  user_id: Uuid,
  name: z.string().meta({ examples: ['Ada Lovelace'] }),
  email: z.string().meta({ description: 'Empty for an agent that no person has claimed.' }),
  github_id: z.string().nullable(),
  created_at: Timestamp,
  last_login_at: Timestamp.nullable(),
  is_active: z.boolean(),
});

export const userRoutes = ({ identity }: { identity: Identity }): Route[] => [
  route({
    method: 'GET',
    path: '/api/v1/users/me',
    tag: 'User',
    summary: 'Show who the caller is',
    access: 'account',
    scopes: READ,
    replies: { 200: { description: 'The caller', schema: UserShown } },
    handle: async (op) => ok(presentUser(await identity.profile(op))),
  }),
];
