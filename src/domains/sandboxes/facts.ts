import type { Op } from '../../kernel/op.ts';
import type { Tx } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import type { Kept } from './kept.ts';

type SandboxFact = 'sandbox.started' | 'sandbox.paused' | 'sandbox.resumed' | 'sandbox.destroyed';

/** Every change of a sandbox's state is a fact, in the transaction of the change. */
export const tell = (
  tx: Tx,
  op: Op,
  type: SandboxFact,
  { id, accountId, machineId }: Kept,
  data: Record<string, unknown> = {},
): Promise<void> => recordFact(tx, op, { type, subject: id, accountId, data: { machineId, ...data } });
