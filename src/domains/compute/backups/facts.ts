import type { Op } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFact } from '../../../platform/outbox.ts';
import type { Backup } from './backup.ts';

type BackupFact = 'backup.requested' | 'backup.waiting' | 'backup.available' | 'backup.failed' | 'backup.expired';

/** Every change of a backup is a fact, in the transaction of the change. */
export const tellOfBackup = (
  tx: Tx,
  op: Op,
  type: BackupFact,
  { id, accountId, serverId }: Pick<Backup, 'id' | 'accountId' | 'serverId'>,
  data: Record<string, unknown> = {},
): Promise<void> => recordFact(tx, op, { type, subject: id, accountId, data: { serverId, ...data } });
