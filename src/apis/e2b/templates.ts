import { z } from 'zod';
import type { Machines, Snapshot } from '../../domains/machines/index.ts';
import { AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { route, type Route } from '../contract.ts';
import { Nothing, WRITE } from './wire.ts';

const DEFAULT_TAG = ':default';

/** The full name of what an account has named: `team/name:tag`. The team is the account, and there is one tag. */
export const fullName = ({ accountId, name }: Pick<Snapshot, 'accountId' | 'name'>): string[] =>
  name === undefined ? [] : [`${accountId}/${name}${DEFAULT_TAG}`];

/** What the account calls it, however much of its full name was given. */
export function bareName(op: AccountOp, text: string): string {
  const team = `${op.actor.accountId}/`;
  const name = text.startsWith(team) ? text.slice(team.length) : text;
  return name.endsWith(DEFAULT_TAG) ? name.slice(0, -DEFAULT_TAG.length) : name;
}

/** The one clause of template management that sandboxes need: snapshots are deleted through it. */
export const templateRoutes = ({
  machines,
}: {
  machines: Pick<Machines, 'listSnapshots' | 'removeSnapshot'>;
}): Route[] => [
  route({
    method: 'DELETE',
    path: '/e2b/api/templates/:templateID',
    tag: 'E2B snapshots',
    summary: 'Delete a snapshot',
    description: 'By its id or its name. Sandboxes that were made of it stay.',
    access: 'account',
    scopes: WRITE,
    params: z.object({ templateID: z.string() }),
    replies: { 204: { description: 'It is deleted', schema: Nothing } },
    handle: async (op, { params }) => {
      const name = bareName(op, params.templateID);
      const id = parseId('snapshot', name) ?? (await machines.listSnapshots(op, { name, limit: 1 })).rows[0]?.id;
      if (!id) throw new AppError('not_found', 'Snapshot not found');
      await machines.removeSnapshot(op, id);
      return { status: 204, body: undefined };
    },
  }),
];
