import type { Op } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFact } from '../../../platform/outbox.ts';
import type { Image } from './image.ts';

type What = 'image.requested' | 'image.ready' | 'image.failed' | 'image.removed';

export const tell = (tx: Tx, op: Op, type: What, image: Image): Promise<void> =>
  recordFact(tx, op, {
    type,
    subject: image.id,
    accountId: image.accountId,
    data: {
      name: image.name,
      kind: image.source.kind,
      ...(image.bytes !== undefined && { bytes: image.bytes }),
      ...(image.failure !== undefined && { failure: image.failure }),
    },
  });
