import type { Op } from '../../kernel/op.ts';
import type { Tx } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import type { Server } from './server.ts';

type ServerFact =
  | 'server.deployed'
  | 'server.activated'
  | 'server.failed'
  | 'server.suspended'
  | 'server.resumed'
  | 'server.rebooted'
  | 'server.powered_off'
  | 'server.powered_on'
  | 'server.rekeyed'
  | 'server.destroying'
  | 'server.destroyed';

/** Every change of a server is a fact, in the transaction of the change. */
export const tell = (
  tx: Tx,
  op: Op,
  type: ServerFact,
  { id, accountId, machineId }: Pick<Server, 'id' | 'accountId' | 'machineId'>,
  data: Record<string, unknown> = {},
): Promise<void> => recordFact(tx, op, { type, subject: id, accountId, data: { machineId, ...data } });
