import { z } from 'zod';
import { HIGHEST_LIMIT, type Compute, type ServerLimits } from '../../domains/compute/index.ts';
import type { Identity } from '../../domains/identity/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { parseId, type AccountId } from '../../kernel/ids.ts';
import { ok, route, type Route } from '../contract.ts';

const TAG = 'Operations';
const PATH = '/v1/admin/accounts/:id/limits';

const IdParams = z.object({ id: z.string() });
const Count = z
  .int()
  .min(0)
  .max(HIGHEST_LIMIT)
  .nullable()
  .optional()
  .meta({ examples: [20] });
const Limits = z.object({
  servers: Count.meta({ description: 'Rented by the hour. Null, or left out: as many as everybody.', examples: [20] }),
  instances: Count.meta({
    description: 'Rented by the month. Null, or left out: as many as everybody.',
    examples: [8],
  }),
});
const LimitsShown = z.object({ account_id: z.uuid(), servers: z.int(), instances: z.int() });

export type LimitDomains = { identity: Identity; compute: Pick<Compute, 'limits' | 'setLimits'> };

export const limitRoutes = ({ identity, compute }: LimitDomains): Route[] => [
  route({
    method: 'GET',
    path: PATH,
    tag: TAG,
    summary: 'Show how many servers an account may have',
    access: 'admin',
    params: IdParams,
    fails: ['not_found'],
    replies: { 200: { description: 'What holds for it', schema: LimitsShown } },
    handle: async (_op, { params }) => {
      const id = await accountOf(identity, params.id);
      return ok(present(id, await compute.limits(id)));
    },
  }),
  route({
    method: 'PUT',
    path: PATH,
    tag: TAG,
    summary: 'Set how many servers an account may have',
    description:
      'In place of what was set before; an empty object sets what holds for everybody. What it has already stays.',
    access: 'admin',
    params: IdParams,
    body: Limits,
    fails: ['not_found'],
    replies: { 200: { description: 'What holds for it', schema: LimitsShown } },
    handle: async (op, { params, body: { servers, instances } }) => {
      const id = await accountOf(identity, params.id);
      const limits = { hourly: servers ?? undefined, monthly: instances ?? undefined };
      return ok(present(id, await compute.setLimits(op, id, limits)));
    },
  }),
];

async function accountOf(identity: Identity, text: string): Promise<AccountId> {
  const id = parseId('account', text);
  if (!id) throw new AppError('not_found', 'Account not found');
  return (await identity.account(id)).id;
}

const present = (accountId: AccountId, { hourly, monthly }: ServerLimits): z.input<typeof LimitsShown> => ({
  account_id: accountId,
  servers: hourly,
  instances: monthly,
});
