import type { Op } from '../../kernel/op.ts';
import { after } from '../../kernel/time.ts';
import type { Database, Tx } from '../../platform/db.ts';
import { recordFact, recordFacts } from '../../platform/outbox.ts';
import { endAttempts, type Ended } from './attempt-store.ts';
import { DISABLED_AFTER, FAILED_FOR_DAYS, WEBHOOK_DISABLED, type EndpointId } from './endpoint.ts';
import { noteFailing, noteHealthy } from './endpoint-store.ts';

/** Writes down what came of attempts; answers when that is kept. */
export type Conclude = (op: Op, ended: Ended) => Promise<void>;

/**
 * Attempts that end while others are being written down are written together, in one transaction: a burst of messages
 * costs a few transactions instead of one for each attempt.
 */
export function createConclude(db: Database): Conclude {
  let waiting: Ended[] = [];
  let next: Promise<void> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  return (op, ended) => {
    waiting.push(ended);
    next ??= last.then(() => {
      const batch = waiting;
      waiting = [];
      next = undefined;
      const written = db.transact((tx) => write(tx, op, batch));
      last = written.catch(() => {}); // those whose attempts these are hear of it
      return written;
    });
    return next;
  };
}

async function write(tx: Tx, op: Op, batch: readonly Ended[]): Promise<void> {
  const applied = await endAttempts(tx, batch);
  const ended = batch.filter(({ attempt }) => applied.has(attempt.id));
  await recordFacts(
    tx,
    op,
    ended.map(({ attempt, verdict: { state, code, error } }) => ({
      type: `delivery.${state}`,
      subject: attempt.id,
      accountId: attempt.account_id,
      data: { attempt: attempt.attempts, response_code: code, error },
    })),
  );
  await noteHealth(tx, op, ended);
}

async function noteHealth(tx: Tx, op: Op, ended: readonly Ended[]): Promise<void> {
  const told = endpointsOf(ended.filter(({ verdict }) => verdict.state === 'delivered'));
  const failed = endpointsOf(ended.filter(({ verdict }) => verdict.state !== 'delivered'));
  if (told.length > 0) await noteHealthy(tx, told);
  // One that took something just now is not down, whatever else it refused.
  const down = failed.filter((id) => !told.includes(id));
  if (down.length === 0) return;
  for (const { id, account_id: accountId, url } of await noteFailing(tx, down, op.now, after(op.now, -DISABLED_AFTER)))
    await recordFact(tx, op, {
      type: WEBHOOK_DISABLED,
      subject: id,
      accountId,
      data: { url, reason: FAILED_FOR_DAYS },
    });
}

const endpointsOf = (ended: readonly Ended[]): EndpointId[] => [
  ...new Set(ended.flatMap(({ attempt }) => attempt.endpoint_id ?? [])),
];
