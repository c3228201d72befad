import { AppError } from '../../../kernel/errors.ts';
import { parseId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { mayUse } from '../policy.ts';
import type { Backup } from './backup.ts';
import { lockBackup } from './store.ts';

/** A backup is its account's, locked; somebody else's does not exist for the caller. */
export async function lockOwnBackup(tx: Tx, op: Op, reference: string): Promise<Backup> {
  const id = parseId('backup', reference);
  const backup = id && (await lockBackup(tx, id));
  if (!backup || !mayUse(op, backup)) throw new AppError('not_found', 'Backup not found');
  return backup;
}

const UNFIT = {
  pending: 'This backup is still being made.',
  error: 'This backup could not be made.',
  expired: 'This backup has expired.',
} as const;

/** Throws `conflict` where nothing can be restored from it. */
export function requireAvailable({ state }: Backup): void {
  if (state !== 'available') throw new AppError('conflict', UNFIT[state]);
}
