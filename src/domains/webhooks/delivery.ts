import type { AccountId, Id } from '../../kernel/ids.ts';
import { DAY, HOUR, MINUTE, SECOND, after } from '../../kernel/time.ts';
import type { Outcome } from '../../platform/fetch.ts';
import type { EndpointId } from './endpoint.ts';

/**
 * One thing that a subscriber is told, with all attempts to tell it.
 *
 *     pending ──▶ delivered
 *        │  ╲         ▲
 *        ▼   ▼        │
 *     exhausted ◀── failed ⟲
 */
export type DeliveryId = Id<'delivery'>;

export type DeliveryState =
  | 'pending' // not tried yet
  | 'failed' // tried in vain, will be tried again
  | 'delivered'
  | 'exhausted'; // given up

export type Delivery = {
  id: DeliveryId;
  accountId: AccountId;
  /** The fact it tells of, e.g. `task.completed`. */
  type: string;
  /** The id of what the fact is about. */
  subject: string;
  url: string;
  state: DeliveryState;
  attempts: number;
  /** When it is tried next; null when it is over. */
  nextAttemptAt: Date | null;
  lastResponseCode: number | null;
  /** Why the last attempt did not deliver, in a word or two. */
  lastError: string | null;
  createdAt: Date;
  endedAt: Date | null;
  /** Whom it tells; null where the address came with what it is about. */
  endpointId: EndpointId | null;
  eventId: string | null;
};

/** Waits after each failed attempt. */
export type Schedule = readonly number[];

/** Almost a day in all, so that a receiver may be down for a night. */
export const PATIENT: Schedule = [
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  4 * HOUR,
  8 * HOUR,
  8 * HOUR,
];
/** An endpoint is told anew of everything that it missed, when its owner asks for that. */
export const BRISK: Schedule = [MINUTE, 5 * MINUTE, 30 * MINUTE];
/** How long the log of an ended delivery is kept. */
export const KEPT_FOR = 30 * DAY;
/** "Gone": the receiver says that it never wants to hear of this again (Standard Webhooks, «Status codes»). */
const GONE = 410;

/** What an attempt has made of its delivery. */
export type Verdict = { state: Exclude<DeliveryState, 'pending'>; at: Date; code: number | null; error: string | null };

/** Judges attempt number `attempt` (from 1); `at` is the end of the delivery or its next attempt. */
export function judge(attempt: number, outcome: Outcome, now: Date, schedule: Schedule): Verdict {
  const code = outcome.ok ? outcome.status : (outcome.status ?? null);
  if (outcome.ok && outcome.status >= 200 && outcome.status < 300)
    return { state: 'delivered', at: now, code, error: null };
  const error = outcome.ok ? `status ${outcome.status}` : outcome.reason;
  const wait = schedule[attempt - 1];
  if (wait === undefined || isHopeless(outcome)) return { state: 'exhausted', at: now, code, error };
  return { state: 'failed', at: after(now, wait), code, error };
}

const isHopeless = (outcome: Outcome): boolean =>
  outcome.ok ? outcome.status === GONE : outcome.reason === 'invalid_url';
