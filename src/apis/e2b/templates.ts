import { z } from 'zod';
import { MAX_SNAPSHOTS_PER_ACCOUNT, type Machines, type Snapshot } from '../../domains/machines/index.ts';
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
    description: 'By its id, or all of a name. Sandboxes that were made of it stay.',
    access: 'account',
    scopes: WRITE,
    params: z.object({ templateID: z.string() }),
    replies: { 204: { description: 'It is deleted', schema: Nothing } },
    handle: async (op, { params }) => {
      const name = bareName(op, params.templateID);
      const id = parseId('snapshot', name);
      const ids = id ? [id] : await idsNamed(machines, op, name);
      if (ids.length === 0) throw new AppError('not_found', 'Snapshot not found');
      for (const each of ids) await machines.removeSnapshot(op, each);
      return { status: 204, body: undefined };
    },
  }),
];

/** Those that were taken under one name are one template. Oldest first: none of them comes to stand under the name. */
async function idsNamed({ listSnapshots }: Pick<Machines, 'listSnapshots'>, op: AccountOp, name: string) {
  const { rows } = await listSnapshots(op, { name, limit: MAX_SNAPSHOTS_PER_ACCOUNT });
  return rows.map(({ id }) => id).toReversed();
}
