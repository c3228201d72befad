import { AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { Db, Tx } from '../../platform/db.ts';
import { isShown, type Offer, type Server } from './server.ts';
import { findServer, lockServer } from './store.ts';

/** A server is its account's; the platform and its operator may use it too. */
export const mayUse = ({ actor }: Op, { accountId }: Pick<Server, 'accountId'>): boolean =>
  actor.kind === 'system' || actor.kind === 'admin' || (actor.kind === 'account' && actor.accountId === accountId);

const MISSING = { hourly: 'Server not found', monthly: 'Compute instance not found' } as const;
const missing = (offer: Offer): AppError => new AppError('not_found', MISSING[offer]);

/** What is not the caller's, is destroyed, or was rented through the other contract, does not exist for the caller. */
export async function ownServer(db: Db, op: Op, offer: Offer, reference: string): Promise<Server> {
  const id = parseId('server', dashed(reference));
  const server = id && (await findServer(db, id));
  if (!server || server.offer !== offer || !isShown(server) || !mayUse(op, server)) throw missing(offer);
  return server;
}

/** The agents contract writes the same ids as 32 digits. */
const dashed = (reference: string): string =>
  reference.replace(/^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/, '$1-$2-$3-$4-$5');

/** The same server once more, locked: it may be over by now. */
export async function lockOwn(tx: Tx, { id, offer }: Server): Promise<Server> {
  const server = await lockServer(tx, id);
  if (!server || !isShown(server)) throw missing(offer);
  return server;
}
