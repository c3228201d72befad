import { z } from 'zod';
import { MAX_HOLD_REASON_LENGTH, type Identity } from '../../domains/identity/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { parseId, type AccountId } from '../../kernel/ids.ts';
import { ok, route, type Route } from '../contract.ts';

const TAG = 'Operations';
const PATH = '/v1/admin/accounts/:id/hold';

const IdParams = z.object({ id: z.string() });
const Hold = z.object({
  reason: z
    .string()
    .min(1)
    .max(MAX_HOLD_REASON_LENGTH)
    .meta({ description: 'For the operator’s own records.', examples: ['sends spam'] }),
});
const Held = z.object({ account_id: z.uuid(), held: z.literal(true), reason: z.string(), held_at: z.iso.datetime() });
const Released = z.object({ account_id: z.uuid(), held: z.literal(false) });

export const holdRoutes = ({ identity }: { identity: Identity }): Route[] => [
  route({
    method: 'PUT',
    path: PATH,
    tag: TAG,
    summary: 'Suspend an account',
    description:
      'It may look and do nothing: everything else is a 403. Its servers and instances are switched off within seconds, their disks are kept, and they cost nothing until it is released.',
    access: 'admin',
    params: IdParams,
    body: Hold,
    fails: ['not_found'],
    replies: { 200: { description: 'It is suspended', schema: Held } },
    handle: async (op, { params, body }) => {
      const { accountId, reason, heldAt } = await identity.hold(op, accountIdOf(params.id), body.reason);
      return ok({ account_id: accountId, held: true, reason, held_at: heldAt.toISOString() });
    },
  }),
  route({
    method: 'DELETE',
    path: PATH,
    tag: TAG,
    summary: 'Release an account',
    description: 'Its servers are switched on again as far as its balance covers them.',
    access: 'admin',
    params: IdParams,
    fails: ['not_found'],
    replies: { 200: { description: 'It is suspended no more', schema: Released } },
    handle: async (op, { params }) => {
      const id = accountIdOf(params.id);
      await identity.release(op, id);
      return ok({ account_id: id, held: false });
    },
  }),
];

function accountIdOf(text: string): AccountId {
  const id = parseId('account', text);
  if (!id) throw new AppError('not_found', 'Account not found');
  return id;
}
