import type { Op } from '../../kernel/op.ts';
import type { Tx } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import type { Session } from './session.ts';

type SessionFact = 'session.requested' | 'session.ready' | 'session.ended' | 'session.verified';

/** Every change of a session's state is a fact, in the transaction of the change. */
export const tell = (
  tx: Tx,
  op: Op,
  type: SessionFact,
  session: Pick<Session, 'id' | 'accountId' | 'dataset' | 'sampleId'>,
  data: Record<string, unknown> = {},
): Promise<void> =>
  recordFact(tx, op, {
    type,
    subject: session.id,
    accountId: session.accountId,
    data: { dataset: session.dataset, sampleId: session.sampleId, ...data },
  });
