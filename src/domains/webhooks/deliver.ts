import { setTimeout as sleep } from 'node:timers/promises';
import type { Op } from '../../kernel/op.ts';
import { SECOND, after, type Clock } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import type { OutgoingFetch } from '../../platform/fetch.ts';
import { claimDue, withdrawAttempt, type Attempt } from './attempt-store.ts';
import { createConclude, type Conclude } from './conclude.ts';
import { BRISK, judge, PATIENT } from './delivery.ts';
import { isSigning, type Vault } from './secrets.ts';
import { eventHeaders, signedHeaders, type SignEvent } from './signing.ts';

/** Attempts under way at once in this process. */
const MAX_UNDER_WAY = 64;
/** Attempts under way at once, over all processes. A slow host or a busy account holds up nobody else. */
const PER_HOST = 8;
const PER_ACCOUNT = 16;
/** An attempt whose worker has died is taken up again after this; well above the time limit of a request. */
const LEASE = 30 * SECOND;
/** While attempts are under way, others that become due are noticed within this. */
const LOOK_AGAIN_AFTER_MS = 250;
/** Looks for due attempts are this far apart at least, so that one look begins several. */
const LOOK_AT_MOST_EVERY_MS = 20;

export type Delivering = {
  db: Database;
  clock: Clock;
  /**
   * The time as receivers know it: a signature's age is judged by their clocks, which do not move with the platform's
   * test clock.
   */
  worldClock: Clock;
  fetch: OutgoingFetch;
  /** Where the secrets of accounts and of endpoints are sealed. */
  vaults: { account: Vault; endpoint: Vault };
  signEvent: SignEvent;
};

/**
 * Carries out every attempt that is due, and those that become due meanwhile, until nothing is due or under way.
 * `lookForMore` runs before each look at what is due. Answers how many attempts were made.
 */
export async function deliverDue(
  delivering: Delivering,
  op: Op,
  lookForMore: (op: Op) => Promise<unknown>,
): Promise<number> {
  const underWay = new Set<Promise<void>>();
  const defects: unknown[] = [];
  let made = 0;
  const conclude = createConclude(delivering.db);
  const begin = (attempt: Attempt): void => {
    const running = carryOut(delivering, atPresent(op, delivering.clock), attempt, conclude)
      .catch((error: unknown) => void defects.push(error))
      .finally(() => underWay.delete(running));
    underWay.add(running);
    made++;
  };
  try {
    while (!op.signal.aborted && defects.length === 0) {
      const current = atPresent(op, delivering.clock);
      await lookForMore(current);
      const claimed = await claim(delivering, current, MAX_UNDER_WAY - underWay.size);
      claimed.forEach(begin);
      if (underWay.size === 0) break;
      await Promise.all([Promise.race([...underWay, sleep(LOOK_AGAIN_AFTER_MS)]), sleep(LOOK_AT_MOST_EVERY_MS)]);
    }
  } finally {
    await Promise.all(underWay);
  }
  if (defects.length > 0) throw new AggregateError(defects, 'Webhook attempts could not be recorded');
  return made;
}

/** The op with the time it is now: a run can outlast its op's first `now` by far. */
function atPresent(op: Op, clock: Clock): Op {
  const now = clock.now();
  return now > op.now ? { ...op, now } : op;
}

function claim({ db }: Delivering, op: Op, count: number): Promise<Attempt[]> {
  if (count === 0) return Promise.resolve([]);
  const limits = { count, perHost: PER_HOST, perAccount: PER_ACCOUNT };
  return db.transact((tx) => claimDue(tx, op.now, after(op.now, LEASE), limits));
}

async function carryOut(delivering: Delivering, op: Op, attempt: Attempt, conclude: Conclude): Promise<void> {
  const { db, clock, fetch } = delivering;
  const { url, body } = attempt;
  const headers = headersOf(delivering, op, attempt);
  const outcome = await fetch.send({ url, method: 'POST', headers, body, signal: op.signal });
  const stopped = !outcome.ok && outcome.reason === 'aborted';
  if (stopped) return void (await db.transact((tx) => withdrawAttempt(tx, attempt)));
  const present = atPresent(op, clock);
  const schedule = attempt.endpoint_id === null ? PATIENT : BRISK;
  await conclude(present, { attempt, verdict: judge(attempt.attempts, outcome, present.now, schedule) });
}

function headersOf({ worldClock, vaults, signEvent }: Delivering, op: Op, attempt: Attempt): Record<string, string> {
  const { id, type, body, account_id, endpoint_id, event_id, secret, previous } = attempt;
  const [vault, owner] = endpoint_id === null ? [vaults.account, account_id] : [vaults.endpoint, endpoint_id];
  const sealed = isSigning(attempt, op.now) ? [secret, previous] : [secret];
  const keys = sealed.flatMap((text) => (text ? [vault.open(owner, text)] : []));
  const message = { id: event_id ?? id, type, sentAt: worldClock.now(), body };
  return endpoint_id === null ? signedHeaders(message, keys) : eventHeaders(message, keys, signEvent);
}
