import { AppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Kept } from './kept.ts';
import { SHORT_ID_PREFIX } from './sandbox.ts';
import { findByCode, findById, lockSandbox } from './store.ts';

/** A sandbox is its account's; the platform and its operator may use it too. */
const mayUse = ({ actor }: Op, kept: Kept): boolean =>
  actor.kind === 'system' || actor.kind === 'admin' || (actor.kind === 'account' && actor.accountId === kept.accountId);

export const isLiving = ({ state }: Kept): boolean => state === 'running' || state === 'paused';

const missing = (): AppError => new AppError('not_found', 'Sandbox not found');

/** What is not the caller's, or is over, does not exist for the caller. */
export async function ownSandbox(db: Db, op: Op, reference: string): Promise<Kept> {
  const kept = await find(db, reference);
  if (!kept || !isLiving(kept) || !mayUse(op, kept)) throw missing();
  return kept;
}

async function find(db: Db, reference: string): Promise<Kept | undefined> {
  const id = parseId('sandbox', reference);
  if (id) return findById(db, id);
  const code = reference.startsWith(SHORT_ID_PREFIX) ? reference.slice(SHORT_ID_PREFIX.length) : reference;
  return /^[a-z0-9]{20}$/.test(code) ? findByCode(db, code) : undefined;
}

/** The same sandbox once more, locked: it may be over by now. */
export async function lockLiving(tx: Tx, { id }: Pick<Kept, 'id'>): Promise<Kept> {
  const kept = await lockSandbox(tx, id);
  if (!kept || !isLiving(kept)) throw missing();
  return kept;
}
