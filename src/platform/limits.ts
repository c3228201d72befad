import ipaddr from 'ipaddr.js';
import { AppError } from '../kernel/errors.ts';
import { SECOND } from '../kernel/time.ts';
import type { Database, Db, Tx } from './db.ts';

/** Groups of 16 bits that name an IPv6 network. */
const NETWORK_GROUPS = 4;

export type Limit = { name: string; max: number; windowMs: number };

/** Counts requests by caller, in the database, so that all processes count together. */
export type RequestLimits = {
  /** Counts one request of `who`; throws `rate_limited` with the seconds to wait when it is one too many. */
  count(db: Database, limit: Limit, who: string, now: Date): Promise<void>;
  /** Throws the same where `who` has none left, and counts nothing. */
  refuseSpent(db: Db, limit: Limit, who: string, now: Date): Promise<void>;
  /** The same as part of a transaction: what rolls back was not counted, and what is refused rolls back. */
  countWithin(tx: Tx, limit: Limit, who: string, now: Date): Promise<void>;
};

type Counted = { wait_ms: number };

/** The window of a caller opens with its first request and ends `windowMs` later, whatever comes in between. */
export const requestLimits: RequestLimits = {
  async count(db, limit, who, now) {
    // The commit need not reach the disk at once: a lost count is a request too many at worst.
    const counted = `select count_request($1, $2, $3, $4) as wait_ms, set_config('synchronous_commit', 'off', true)`;
    refuseBeyond(await db.query<Counted>(counted, bucket(limit, who, now)));
  },
  async refuseSpent(db, { name, max }, who, now) {
    const left = `select ceil(extract(epoch from ends_at - $3::timestamptz) * 1000)::integer as wait_ms
                    from request_windows where bucket = $1 and count >= $2 and ends_at > $3`;
    refuseBeyond(await db.query<Counted>(left, [`${name}:${who}`, max, now]));
  },
  async countWithin(tx, limit, who, now) {
    refuseBeyond(await tx.query<Counted>(`select count_request($1, $2, $3, $4) as wait_ms`, bucket(limit, who, now)));
  },
};

const bucket = (limit: Limit, who: string, now: Date): unknown[] => [
  `${limit.name}:${who}`,
  limit.max,
  limit.windowMs,
  now,
];

function refuseBeyond([row]: Counted[]): void {
  if (!row || row.wait_ms === 0) return;
  throw new AppError('rate_limited', 'Rate limit exceeded', { retryAfterSeconds: Math.ceil(row.wait_ms / SECOND) });
}

/** `FREEHOLD_RATE_LIMITS=off`: nothing is counted. */
export const noRequestLimits: RequestLimits = {
  count: async () => {},
  refuseSpent: async () => {},
  countWithin: async () => {},
};

/**
 * An address as limits count it: whoever has one IPv6 address has all of its /64, and IPv4 written as IPv6 is IPv4.
 */
export function networkOf(address: string | undefined): string {
  if (address === undefined || !ipaddr.isValid(address)) return 'unknown';
  const parsed = ipaddr.process(address);
  if (parsed instanceof ipaddr.IPv4) return parsed.toString();
  const network = parsed.parts.slice(0, NETWORK_GROUPS).map((group) => group.toString(16));
  return `${network.join(':')}::/64`;
}

/** Removes windows that have ended; a sweep of the platform calls it. */
export async function forgetEndedWindows(db: Db, now: Date): Promise<number> {
  const rows = await db.query(`delete from request_windows where ends_at <= $1 returning 1`, [now]);
  return rows.length;
}
